//! A small upstream repository with the files that the drift check reads, and a fleet that has it as
//! an input: for `update` and `rollback` with real Nix and Git.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Scratch, code, json, stderr};

/// An upstream repository and a fleet that is locked to its first commit.
pub struct World {
    pub scratch: Scratch,
    pub fleet: Scratch,
}

pub const PACKAGE: &str = "{ useBlas ? false, useCuda ? false, useRocm ? false, useVulkan ? false, \
                       useMetalKit ? false, useMpi ? false, cudaPackages, rocmGpuTargets ? \"\" }: { }\n";

impl World {
    /// Has three hosts: `plain` does not read the input, the build of `reads` reads its file
    /// `content`, and the evaluation of `evaluates` reads its file `needed`.
    pub fn new() -> Self {
        Self::of(HOSTS)
    }

    /// Takes hosts as [`super::fleet`] does. They may also call `source HOST`, the real
    /// modules/shared/source.nix, for the llama.cpp of a host.
    pub fn of(hosts: &str) -> Self {
        let world = Self { scratch: Scratch::new(), fleet: super::fleet(hosts) };
        let upstream = world.upstream();
        fs::create_dir_all(&upstream).unwrap();
        git(&upstream, &["init", "--quiet", "--initial-branch=main"]);
        world.put("flake.nix", "{ outputs = _: { }; }\n");
        world.put(".devops/nix/package.nix", PACKAGE);
        world.put(".devops/nix/scope.nix", "{ llamaVersion ? \"0\" }: { }\n");
        world.put("CMakeLists.txt", "");
        world.put("needed", "1");
        let needs: Value =
            serde_json::from_str(include_str!("../../../../overlays/llama-cpp/needs.json"))
                .unwrap();
        let options = needs["cmakeOptions"].as_object().unwrap().keys();
        let declared: String = options.map(|name| format!("option({name} \"x\" OFF)\n")).collect();
        world.put("ggml/CMakeLists.txt", &declared);
        world.release("one");

        let flake = world.fleet.path().join("flake.nix");
        let text = fs::read_to_string(&flake).unwrap();
        let input = format!(
            "inputs.llama-cpp.url = \"git+file://{}?ref=main\"; inputs.other.url = \
             \"path:./other\"; outputs = {{ self, llama-cpp, ... }}: let source = host: import \
             ./modules/shared/source.nix {{ inherit llama-cpp host; fleet = self; }};",
            upstream.display()
        );
        fs::write(&flake, text.replace("outputs = _: let", &input)).unwrap();
        for file in ["modules/shared/source.nix", "overlays/llama-cpp/fleet-state.nix"] {
            let text = fs::read_to_string(super::repository().join(file)).unwrap();
            world.fleet.write(file, &text);
        }
        world.fleet.write("other/flake.nix", "{ outputs = _: { }; }\n");
        let fleet = world.fleet.path();
        git(fleet, &["init", "--quiet", "--initial-branch=main"]);
        git(fleet, &["config", "user.name", "Fleet"]);
        git(fleet, &["config", "user.email", "fleet@localhost"]);
        git(fleet, &["add", "--all"]);
        let lock = super::nix(["flake", "lock"]).current_dir(fleet).output().unwrap();
        assert!(lock.status.success(), "{}", stderr(&lock));
        git(fleet, &["add", "--all"]);
        git(fleet, &["commit", "--quiet", "--message", "fleet"]);
        world
    }

    pub fn upstream(&self) -> PathBuf {
        self.scratch.path().join("upstream")
    }

    /// Writes a file of upstream's work tree.
    pub fn put(&self, name: &str, text: &str) {
        self.scratch.write(&format!("upstream/{name}"), text);
    }

    /// Commits this content with a build tag and returns the revision.
    pub fn release(&self, content: &str) -> String {
        let upstream = self.upstream();
        self.put("content", content);
        git(&upstream, &["add", "--all"]);
        let who = ["-c", "user.name=Up", "-c", "user.email=up@localhost"];
        git(&upstream, &[&who[..], &["commit", "--quiet", "-m", content]].concat());
        let count = git(&upstream, &["rev-list", "--count", "HEAD"]);
        git(&upstream, &["tag", &format!("b{count}")]);
        git(&upstream, &["rev-parse", "HEAD"])
    }

    pub fn xtask(&self) -> Command {
        super::xtask(self.fleet.path())
    }

    /// Runs xtask with `--json`; returns the exit status, the document and standard error.
    pub fn run(&self, args: &[&str]) -> (i32, Value, String) {
        let output = self.xtask().args(args).arg("--json").output().unwrap();
        let document = if output.stdout.is_empty() { Value::Null } else { json(&output) };
        (code(&output), document, stderr(&output))
    }

    /// Reads the fleet's flake.lock.
    pub fn lock(&self) -> String {
        fs::read_to_string(self.fleet.path().join("flake.lock")).unwrap()
    }

    /// Returns the locked revision of llama.cpp.
    pub fn locked(&self) -> String {
        let lock: Value = serde_json::from_str(&self.lock()).unwrap();
        lock["nodes"]["llama-cpp"]["locked"]["rev"].as_str().unwrap().to_owned()
    }

    /// Returns `git status` of the fleet.
    pub fn status(&self) -> String {
        git(self.fleet.path(), &["status", "--porcelain"])
    }
}

pub const HOSTS: &str = r#"
    plain = host { variant = "cpu-plain"; manifest.rev = llama-cpp.rev; };
    reads = host { variant = "cpu-reads"; manifest.rev = llama-cpp.rev; script = "read x < ${llama-cpp}/content; test $x != broken && echo $x > $out"; };
    evaluates = host { variant = "cpu-evaluates"; manifest.rev = llama-cpp.rev; script = "echo ${builtins.readFile "${llama-cpp}/needed"} > $out"; };
"#;

/// Runs git and returns its trimmed standard output.
pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(dir).args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Returns the state of a host in a report of `update`.
pub fn state<'a>(report: &'a Value, host: &str) -> &'a str {
    let hosts = report["hosts"].as_array().unwrap().iter();
    let mut found = hosts.filter(|it| it["host"] == host);
    found.next().unwrap()["state"].as_str().unwrap()
}
