// In every test, before anything else: the session has what it shares with the start file, as once it is loaded.
import { share } from "../../src/session/shared.js";
import { shared } from "../../src/shared.js";

share(shared);
