//! What can be known of the container image without building it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::gateway::command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn script(name: &str) -> Command {
    Command::new(root().join("scripts").join(name))
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The names of the workspace's packages, if its lock file fits their manifests.
fn packages(workspace: &Path) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "tree",
        "--workspace",
        "--locked",
        "--offline",
        "--depth",
        "0",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let output = cargo.current_dir(workspace).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_layer_of_dependencies_is_the_whole_workspace_with_the_same_lock() {
    let directory = tempfile::tempdir().unwrap();
    let output = script("image-manifests").arg(root()).arg(directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(packages(directory.path()), packages(&root()));
    let main = std::fs::read_to_string(directory.path().join("gateway/src/main.rs")).unwrap();
    assert_eq!(main, "fn main() {}\n", "sources would make the layer change with them");
}

#[test]
fn every_manifest_of_the_workspace_reaches_the_build() {
    let ignored = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    let workspace: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    assert!(members.len() >= 2);
    for member in members.iter().map(|member| member.as_str().unwrap()) {
        let whole = format!("!{}", member.split('/').next().unwrap());
        let manifest = format!("!{member}/Cargo.toml");
        assert!(
            ignored.lines().any(|line| line == whole || line == manifest),
            "`{manifest}` is not in .dockerignore"
        );
    }
}

#[test]
fn a_package_whose_sources_the_image_lacks_is_in_nobodys_way() {
    let source = tempfile::tempdir().unwrap();
    let targets =
        ["bin", "bench", "test", "example"].map(|kind| format!("[[{kind}]]\nname = \"a-{kind}\"\n"));
    let elsewhere = "[[bin]]\npath = \"elsewhere.rs\"\nname = \"b\"\n";
    let manifest =
        format!("[package]\nname = \"other\"\nedition = \"2024\"\n{}{elsewhere}", targets.concat());
    std::fs::create_dir(source.path().join("other")).unwrap();
    std::fs::write(source.path().join("other/Cargo.toml"), manifest).unwrap();
    std::fs::write(
        source.path().join("Cargo.toml"),
        "[workspace]\nresolver = \"3\"\nmembers = [\"other\"]\n",
    )
    .unwrap();
    let lock = "version = 4\n[[package]]\nname = \"other\"\nversion = \"0.0.0\"\n";
    std::fs::write(source.path().join("Cargo.lock"), lock).unwrap();

    let target = tempfile::tempdir().unwrap();
    let output = script("image-manifests").arg(source.path()).arg(target.path()).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let mut check = Command::new(env!("CARGO"));
    check
        .args(["check", "--lib", "--locked", "--offline", "--target-dir", "target"])
        .current_dir(target.path());
    let output = check.output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn a_program_that_needs_more_than_glibc_is_found_out() {
    // A Rust program asks for libgcc_s unless its linker is told otherwise, as the image's is.
    let refused = script("only-glibc").arg(env!("CARGO_BIN_EXE_tidegate")).output().unwrap();
    assert!(!refused.status.success() && told(&refused).contains("libgcc_s.so.1"), "{}", told(&refused));

    assert!(only_glibc("int main(void) { return 0; }").is_ok());
    let loads = only_glibc("#include <pthread.h>\nint main(void) { pthread_exit(0); }").unwrap_err();
    assert!(loads.contains("pthread_exit"), "{loads}");
}

/// What `scripts/only-glibc` has against a program in C.
fn only_glibc(code: &str) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let (source, program) = (directory.path().join("program.c"), directory.path().join("program"));
    std::fs::write(&source, code).unwrap();
    assert!(Command::new("cc").arg(&source).arg("-o").arg(&program).status().unwrap().success());
    let output = script("only-glibc").arg(&program).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(told(&output)) }
}

#[test]
fn the_image_serves_with_a_token_and_says_how_to_get_one_without() {
    let check = |hash: Option<&str>| {
        let mut check = command();
        check.arg("check").arg("--config").arg(root().join("config/image.toml"));
        check.env_remove("TIDEGATE_TOKEN_HASH").envs(hash.map(|hash| ("TIDEGATE_TOKEN_HASH", hash)));
        check.output().unwrap()
    };
    let (_, hash) = crate::token::make("default");
    let accepted = check(Some(&hash));
    assert!(accepted.status.success(), "{}", told(&accepted));
    let refused = check(None);
    assert_eq!(refused.status.code(), Some(78));
    for part in ["TIDEGATE_TOKEN_HASH is not set", "token --id default"] {
        assert!(told(&refused).contains(part), "{}", told(&refused));
    }

    let served = told(&accepted);
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let exposed = dockerfile.lines().find_map(|line| line.strip_prefix("EXPOSE ")).unwrap();
    let ports: BTreeSet<_> = exposed.split(' ').filter_map(|port| port.split('/').next()).collect();
    assert_eq!(ports.len(), 3);
    assert!(ports.iter().all(|port| served.contains(&format!("0.0.0.0:{port}"))), "{exposed}: {served}");
}

#[test]
fn what_the_image_copies_is_there() {
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let mut copied = 0;
    for line in dockerfile.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from=")) {
        let mut words: Vec<_> = line.split(' ').skip(1).collect();
        words.pop();
        for source in words {
            copied += 1;
            assert!(root().join(source).exists(), "{line}");
        }
    }
    assert!(copied >= 3, "{dockerfile}");
}
