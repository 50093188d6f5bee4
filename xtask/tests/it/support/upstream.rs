//! Generates a llama.cpp history with known mistakes: a Git repository on top of the testbed's real
//! trees, whose commits `git fast-import` makes in a second. Names and dates are fixed, so a plan
//! gives the same commits on every machine and in every run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::user_home;

/// A kind of mistake that upstream makes now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// package.nix renames `useVulkan`, so it ignores the argument that we pass.
    ArgumentRenamed,
    /// package.nix needs a package that Nixpkgs does not have: no host evaluates.
    MissingInput,
    /// The licence becomes a list, with an unfree one for Vulkan: Nixpkgs refuses such hosts.
    LicenceList,
    /// A missing attribute of cudaPackages: hosts with CUDA do not evaluate.
    CudaAttribute,
    /// ggml renames its option for AVX-512 VNNI, and CMake silently ignores the old name.
    OptionRenamed,
    /// ggml-cpu does not compile where AVX-512 VNNI is on.
    CompileError,
    /// CMake fails to configure within a second.
    ConfigureError,
    /// Every batch takes a third longer, which costs a quarter of the speed.
    SlowDown,
    /// package.nix does not parse, so a bisection cannot judge the commit.
    SyntaxError,
}

impl Breakage {
    /// Returns the subject of the commit that makes the mistake.
    pub fn subject(self) -> &'static str {
        match self {
            Self::ArgumentRenamed => "nix : name the backends' arguments alike",
            Self::MissingInput => "vulkan : use the shader debugger's headers",
            Self::LicenceList => "nix : name the licence of the bundled shaders",
            Self::CudaAttribute => "nix : follow the new name of the CUDA runtime",
            Self::OptionRenamed => "cmake : spell the VNNI option like the compiler's",
            Self::CompileError => "ggml-cpu : VNNI for the new dot products",
            Self::ConfigureError => "cmake : use what is new in 3.99",
            Self::SlowDown => "llama : wait for the backend after each batch",
            Self::SyntaxError => "nix : sort the arguments",
        }
    }

    fn apply(self, tree: &mut Tree) {
        const PACKAGE: &str = ".devops/nix/package.nix";
        match self {
            Self::ArgumentRenamed => tree.replace(PACKAGE, "useVulkan", "withVulkan"),
            Self::MissingInput => {
                tree.replace(PACKAGE, "  shaderc,\n", "  shaderc,\n  shader-debugger-headers,\n");
            }
            Self::LicenceList => tree.replace(
                PACKAGE,
                "license = lib.licenses.mit;",
                "license = [ lib.licenses.mit ] ++ optionals useVulkan [ lib.licenses.unfree ];",
            ),
            Self::CudaAttribute => {
                tree.replace(PACKAGE, "    cuda_cudart\n", "    cuda_runtime\n");
            }
            Self::OptionRenamed => {
                for file in ["ggml/CMakeLists.txt", "ggml/src/ggml-cpu/CMakeLists.txt"] {
                    tree.replace(file, "GGML_AVX512_VNNI", "GGML_AVX512VNNI");
                }
            }
            Self::CompileError => tree.replace(
                "ggml/src/ggml-cpu/ggml-cpu.c",
                "#include \"ggml-impl.h\"\n",
                "#include \"ggml-impl.h\"\n#if defined(__AVX512VNNI__)\n\
                 #include \"arch/x86/vnni-dot-products.h\"\n#endif\n",
            ),
            Self::ConfigureError => {
                tree.replace("CMakeLists.txt", "VERSION 3.14", "VERSION 3.99");
            }
            Self::SlowDown => tree.replace(
                "src/llama-context.cpp",
                "    const int ret = ctx->decode(batch);\n    if (ret != 0 && ret != 1) {\n        \
                 LLAMA_LOG_ERROR(\"%s: failed to decode, ret",
                "    const int64_t began = ggml_time_us();\n    \
                 const int ret = ctx->decode(batch);\n    ctx->synchronize();\n    \
                 const int64_t ended = ggml_time_us();\n    \
                 while (ggml_time_us() - ended < (ended - began)/3) {}\n    \
                 if (ret != 0 && ret != 1) {\n        \
                 LLAMA_LOG_ERROR(\"%s: failed to decode, ret",
            ),
            Self::SyntaxError => tree.replace(PACKAGE, "\nlet\n  inherit (lib)", "\nlet let"),
        }
    }

    /// Reverts the mistake.
    fn undo(self, tree: &mut Tree) {
        assert_eq!(self, Self::SyntaxError, "only a syntax error can be undone");
        tree.replace(".devops/nix/package.nix", "\nlet let", "\nlet\n  inherit (lib)");
    }
}

/// The commits after a real tree; the first is number 1.
#[derive(Debug, Clone)]
pub struct Plan {
    /// A tag of the testbed.
    pub revision: &'static str,
    /// Number of first-parent commits.
    pub commits: usize,
    /// The commit with a mistake, and the mistake.
    pub breakage: Option<(usize, Breakage)>,
    /// Commits with a syntax error.
    pub unparsable: Range<usize>,
    /// The commit that merges a branch.
    pub merge: Option<usize>,
}

impl Plan {
    pub fn new(revision: &'static str, commits: usize) -> Self {
        Self { revision, commits, breakage: None, unparsable: 0..0, merge: None }
    }

    pub fn with(self, breakage: Breakage, at: usize) -> Self {
        Self { breakage: Some((at, breakage)), ..self }
    }
}

/// A repository like upstream's.
#[derive(Debug)]
pub struct Upstream {
    repository: PathBuf,
    /// The real tree's commit, then the plan's first-parent commits in order.
    pub revs: Vec<String>,
}

impl Upstream {
    /// Makes the plan's commits as branch `main` of a repository at `dir`. Three of four have a build
    /// tag like upstream's, `b` and the number of commits up to there.
    pub fn create(dir: &Path, plan: &Plan) -> Self {
        let real = user_home().join("llama.cpp");
        if !dir.join(".git").is_dir() {
            fs::create_dir_all(dir).unwrap();
            // Not bare, so that Nix reads the objects here instead of fetching all into its cache.
            // Git reads the real trees' objects from their repository, without a copy.
            git(dir, &["init", "--quiet", "--template=", "--initial-branch=main", "."]);
            let alternates = dir.join(".git/objects/info/alternates");
            fs::create_dir_all(alternates.parent().unwrap()).unwrap();
            fs::write(alternates, format!("{}\n", real.join("objects").display())).unwrap();
        }
        let base = git(&real, &["rev-parse", &format!("refs/tags/{}^{{commit}}", plan.revision)]);
        let stream = Stream::of(dir, &base, plan);
        import(dir, &stream);
        git(dir, &["tag", &format!("b{}", count(&real, &base)), &base]);
        let range = format!("{base}..refs/heads/main");
        let listed = git(dir, &["rev-list", "--first-parent", "--reverse", &range]);
        let revs: Vec<String> =
            std::iter::once(base).chain(listed.lines().map(str::to_owned)).collect();
        assert_eq!(revs.len(), plan.commits + 1, "{plan:?}");
        Self { repository: dir.to_owned(), revs }
    }

    pub fn repository(&self) -> &Path {
        &self.repository
    }

    /// Returns the commit's number in the plan; 0 is the real tree.
    pub fn number(&self, rev: &str) -> usize {
        self.revs.iter().position(|known| known == rev).unwrap()
    }

    pub fn newest(&self) -> &str {
        self.revs.last().unwrap()
    }
}

fn count(repository: &Path, rev: &str) -> usize {
    git(repository, &["rev-list", "--count", rev]).parse().unwrap()
}

/// The files that a plan changes, with their text after the commits so far.
struct Tree<'a> {
    repository: &'a Path,
    base: &'a str,
    files: BTreeMap<String, String>,
    changed: Vec<String>,
    removed: Vec<&'static str>,
}

impl Tree<'_> {
    fn remove_all(&mut self, folder: &'static str) {
        self.removed.push(folder);
    }

    fn file(&mut self, path: &str) -> &mut String {
        self.files.entry(path.to_owned()).or_insert_with(|| {
            let output = Command::new("git")
                .arg("-C")
                .arg(self.repository)
                .args(["cat-file", "blob", &format!("{}:{path}", self.base)])
                .output()
                .unwrap();
            assert!(output.status.success(), "no {path} in {}", self.base);
            String::from_utf8(output.stdout).unwrap()
        })
    }

    fn replace(&mut self, path: &str, from: &str, to: &str) {
        let text = self.file(path);
        assert!(text.contains(from), "{path} has no {from:?}");
        *text = text.replace(from, to);
        self.changed.push(path.to_owned());
    }

    fn append(&mut self, path: &str, line: &str) {
        let text = self.file(path);
        text.push_str(line);
        self.changed.push(path.to_owned());
    }

    /// Returns fast-import commands for the files that changed since the last call.
    fn take(&mut self) -> String {
        let mut commands = String::new();
        for path in std::mem::take(&mut self.removed) {
            writeln!(commands, "D {path}").unwrap();
        }
        self.changed.sort();
        self.changed.dedup();
        for path in std::mem::take(&mut self.changed) {
            let text = &self.files[&path];
            writeln!(commands, "M 100644 inline {path}\ndata {}\n{text}", text.len()).unwrap();
        }
        commands
    }
}

/// Input of fast-import.
struct Stream {
    text: String,
    marks: usize,
    /// Number of commits up to the real tree.
    before: usize,
}

impl Stream {
    fn of(repository: &Path, base: &str, plan: &Plan) -> String {
        let mut tree =
            Tree { repository, base, files: BTreeMap::new(), changed: vec![], removed: vec![] };
        let before = count(repository, base);
        let mut stream = Self { text: String::new(), marks: 0, before };
        let mut parent = base.to_owned();
        for number in 1..=plan.commits {
            let breaks = plan.breakage.filter(|(at, _)| *at == number).map(|(_, it)| it);
            let subject = match breaks {
                Some(breakage) => {
                    breakage.apply(&mut tree);
                    breakage.subject()
                }
                None if plan.unparsable.start == number && !plan.unparsable.is_empty() => {
                    Breakage::SyntaxError.apply(&mut tree);
                    Breakage::SyntaxError.subject()
                }
                None if plan.unparsable.end == number && !plan.unparsable.is_empty() => {
                    Breakage::SyntaxError.undo(&mut tree);
                    "nix : fix the arguments"
                }
                None if number == 1 => {
                    // Three quarters of a tree's size, which the store keeps for each commit.
                    for folder in ["models", "docs", "media"] {
                        tree.remove_all(folder);
                    }
                    "models : the vocabularies are elsewhere"
                }
                None => harmless_change(&mut tree, number),
            };
            let files = tree.take();
            let mut parents = format!("from {parent}\n");
            if plan.merge == Some(number) {
                // The merge has all changes of its branch.
                let side = stream.commit("refs/heads/side", number, subject, &parents, &files);
                writeln!(parents, "merge {side}").unwrap();
            }
            parent = stream.commit("refs/heads/main", number, subject, &parents, &files);
            if number % 4 != 3 {
                let build = stream.before + stream.marks;
                writeln!(stream.text, "reset refs/tags/b{build}\nfrom {parent}\n").unwrap();
            }
        }
        stream.text
    }

    /// Appends a commit and returns its mark, by which later commands refer to it.
    fn commit(
        &mut self,
        reference: &str,
        number: usize,
        subject: &str,
        parents: &str,
        files: &str,
    ) -> String {
        const AUTHORS: [&str; 3] = ["Ada Example", "Grace Sample", "Alan Instance"];
        self.marks += 1;
        let name = AUTHORS[number % AUTHORS.len()];
        let mail = name.to_lowercase().replace(' ', ".");
        let date = 1_755_216_000 + number * 6 * 3600;
        let who = format!("{name} <{mail}@example.org> {date} +0000");
        let message = format!("{subject} (#{})\n", 15_300 + number);
        write!(
            self.text,
            "commit {reference}\nmark :{}\nauthor {who}\ncommitter {who}\ndata {}\n{message}\
             {parents}{files}\n",
            self.marks,
            message.len(),
        )
        .unwrap();
        format!(":{}", self.marks)
    }
}

/// Makes a change that breaks nothing, and returns its subject.
fn harmless_change(tree: &mut Tree, number: usize) -> &'static str {
    match number % 4 {
        0 => {
            tree.append("README.md", &format!("\n<!-- note {number} -->\n"));
            "readme : mention the new models"
        }
        1 => {
            tree.append("src/llama-hparams.cpp", &format!("\n// note {number}\n"));
            "llama : explain the hyperparameters"
        }
        2 => {
            tree.append("docs/build.md", &format!("\nNote {number}.\n"));
            "docs : say more about building"
        }
        _ => {
            tree.append("ggml/src/ggml-threading.cpp", &format!("\n// note {number}\n"));
            "ggml : comment the critical section"
        }
    }
}

fn import(repository: &Path, stream: &str) {
    let mut child = Command::new("git")
        .arg("-C")
        .arg(repository)
        .args(["fast-import", "--quiet", "--force"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Runs git and returns its standard output without the trailing newline.
pub fn git(repository: &Path, args: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(repository).args(args).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?} in {}: {message}", repository.display());
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
