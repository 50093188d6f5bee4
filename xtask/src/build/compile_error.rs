//! Finds the errors in a build's log, which a parallel build prints long before its end.
//!
//! Pure: no I/O, no clock.

/// How tools mark an error, in lower case and with single spaces. File names and warnings also
/// contain `error`.
const MARKS: [&str; 18] = [
    ": error: ",       // gcc, clang, nvcc, glslc, as, nixpkgs' scripts
    ": fatal error: ", // a missing header, a killed compiler
    ": error #",       // nvcc's numbered errors
    "catastrophic error: ",
    "internal error: ",
    "internal compiler error: ",
    " error : ", // nvcc, ptxas, nvlink
    " fatal : ",
    ": error ts", // TypeScript
    "undefined reference to ",
    "multiple definition of ",
    "*** no rule to make target ",
    " -- saving rejects to file ",
    "can't find file to patch ",
    "patch: **** ",
    "contains a forbidden reference to ",
    "broken paths found in a .pc file",
    "curl: (",
];

/// Complaints of programs that mark no errors. A build that prints one may still succeed.
const COMPLAINTS: [&str; 17] = [
    ": not found",
    "command not found",
    "No such file or directory",
    "Permission denied",
    "Operation not permitted",
    "Read-only file system",
    "No space left on device",
    "Cannot allocate memory",
    "out of memory",
    "Killed",
    "Aborted",
    "Segmentation fault",
    "Bus error",
    "Illegal instruction",
    "fatal: ",
    "do not know how to unpack ",
    "terminate called after",
];

/// Errors that only report that another step failed.
const CONSEQUENCES: [&str; 3] =
    ["ld returned 1 exit status", "linker command failed", "npm failed to install"];

/// Returns the first error of a log. If no line is marked as one, returns what the failed command
/// of ninja printed, or the last complaint before make stopped.
pub fn first(lines: impl IntoIterator<Item = String>) -> Option<String> {
    let mut unmarked = Unmarked::default();
    let error = all(lines.into_iter().inspect(|line| unmarked.read(line))).next();
    error.or_else(|| unmarked.error())
}

/// Returns the lines of a log that are marked as errors.
pub fn all(lines: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let mut lines = lines.peekable();
    let mut in_warning = false;
    std::iter::from_fn(move || {
        loop {
            let line = lines.next()?;
            let text = line.trim();
            // Below a warning, compilers print the source, which may contain an error message.
            let is_quoted = in_warning && line.starts_with(char::is_whitespace);
            if text.is_empty() || is_quoted || is_source(text) {
                continue;
            }
            in_warning = ["warning", "Warning", "note:"].iter().any(|mark| text.contains(mark));
            if text.starts_with("CMake Error") {
                let is_message = |line: &String| line.is_empty() || line.starts_with(' ');
                let message = std::iter::from_fn(|| lines.next_if(is_message));
                return Some(cmake_error(text, message));
            }
            if text == "error during build:" {
                return Some(format!("{text} {}", lines.next().unwrap_or_default().trim()));
            }
            if is_error(text) {
                return Some(text.to_owned());
            }
        }
    })
}

/// Whether this is a line of source code in a compiler's message: `12 | code`.
fn is_source(text: &str) -> bool {
    text.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().starts_with('|')
}

fn is_error(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let lower = words.join(" ").to_ascii_lowercase();
    let has = |marks: &[&str]| marks.iter().any(|mark| lower.contains(mark));
    // `error`, `LLVM ERROR`, `ModuleNotFoundError`
    let word = lower.split_once(": ").map_or("", |(word, _)| word);
    let is_named = ["fatal error", "llvm error"].contains(&word)
        || word.ends_with("error") && !word.contains(' ');
    let mark = MARKS.iter().filter_map(|mark| lower.find(mark)).min();
    let is_marked = mark.is_some_and(|at| !lower[..at].contains("warning"));
    // GNU ld marks only some of its errors.
    let is_ld = lower.starts_with("ld: ") || has(&["/ld: "]);
    let is_of_ld = is_ld && !has(&["warning", "note:", "in function ", "skipping incompatible"]);
    (is_named || is_marked || is_of_ld) && !has(&CONSEQUENCES)
}

/// Returns a CMake error in one line: its place and its message. If CMake cannot compile a test
/// program, the message is the compiler's error.
fn cmake_error(place: &str, message: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = message.map(|line| line.trim().to_owned()).collect();
    let mut text = place.to_owned();
    if let Some(error) = lines.iter().find(|line| is_error(line)) {
        return format!("{text} {error}");
    }
    let paragraphs = lines.split(String::is_empty).filter(|lines| !lines.is_empty());
    for paragraph in paragraphs.take(3) {
        text = format!("{text} {}", paragraph.join(" "));
        if text.ends_with(['.', ')']) {
            break;
        }
    }
    text
}

/// What a log without marked errors tells about the failure.
#[derive(Default)]
struct Unmarked {
    /// The first command that failed in ninja.
    failed: Option<Failed>,
    complaints: Complaints,
    /// The first target that failed in make.
    make: Option<String>,
}

struct Failed {
    target: String,
    /// Lines since ninja's: the command, then its output.
    lines: usize,
    has_ended: bool,
    complaints: Complaints,
    last: Option<String>,
}

#[derive(Default)]
struct Complaints {
    npm: Option<String>,
    last: Option<String>,
}

impl Unmarked {
    fn read(&mut self, line: &str) {
        let text = line.trim();
        if let Some(rest) = text.strip_prefix("FAILED: ")
            && self.failed.is_none()
        {
            // Newer versions print `FAILED: [code=1] a.o`.
            let target = rest.rsplit_once("] ").map_or(rest, |(_, target)| target);
            let target = target.split(' ').next().unwrap_or_default().to_owned();
            let complaints = Complaints::default();
            self.failed =
                Some(Failed { target, lines: 0, has_ended: false, complaints, last: None });
        } else if let Some(failed) = self.failed.as_mut().filter(|failed| !failed.has_ended) {
            failed.read(text);
        } else if self.make.is_none() {
            if text.contains("*** [") {
                self.make = Some(text.to_owned());
            } else {
                self.complaints.read(text);
            }
        }
    }

    fn error(self) -> Option<String> {
        let failed = self.failed.map(|Failed { target, complaints, last, .. }| {
            let line = complaints.error().or(last).unwrap_or_else(|| "failed".to_owned());
            format!("{target}: {line}")
        });
        failed.or_else(|| self.complaints.error()).or(self.make)
    }
}

impl Failed {
    fn read(&mut self, text: &str) {
        let is_step = text.starts_with('[') && text.contains('/') && text.contains("] ");
        self.has_ended = is_step || text.starts_with("ninja: ") || text.starts_with("FAILED: ");
        self.lines += 1;
        if !self.has_ended && self.lines > 1 && !text.is_empty() {
            self.complaints.read(text);
            self.last = Some(text.to_owned());
        }
    }
}

impl Complaints {
    fn read(&mut self, text: &str) {
        let npm = text.strip_prefix("npm error ").or_else(|| text.strip_prefix("npm ERR! "));
        // npm prints a table of codes, and then its message; of a script it prints only which.
        let is_code = |rest: &str| {
            let words = ["code", "errno", "syscall", "path", "Lifecycle", "command", "A complete"];
            words.iter().any(|word| rest.starts_with(word))
        };
        if npm.is_some_and(|rest| !is_code(rest)) {
            self.npm.get_or_insert_with(|| text.to_owned());
        }
        let is_complaint = COMPLAINTS.iter().any(|complaint| text.contains(complaint));
        // llama.cpp asks Git for its version, also outside a repository.
        if is_complaint && !text.contains("not a git repository") {
            self.last = Some(text.to_owned());
        }
    }

    fn error(self) -> Option<String> {
        self.npm.or(self.last)
    }
}

#[cfg(test)]
#[path = "compile_error_tests.rs"]
mod tests;
