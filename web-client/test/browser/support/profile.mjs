// A browser profile: what lasts when a tab is closed or the browser killed.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory for a browser, empty at first. */
export class Profile {
  directory;

  static async make() {
    const profile = new Profile();
    profile.directory = await mkdtemp(join(tmpdir(), "tidegate-profile-"));
    return profile;
  }

  /** Chromium's setting "block all cookies", which denies pages every storage. For a profile not opened yet. */
  async denyStorage() {
    await mkdir(join(this.directory, "Default"));
    const preferences = { profile: { default_content_setting_values: { cookies: 2 } } };
    await writeFile(join(this.directory, "Default", "Preferences"), JSON.stringify(preferences));
  }

  async remove() {
    // Some process of a killed browser may still be writing.
    await rm(this.directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}
