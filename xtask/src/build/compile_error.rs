//! Finds the first error in a build's log, which a parallel build prints long before its end.
//!
//! Pure: no I/O, no clock.

/// How tools mark an error. File names and warnings also contain `error`.
const MARKS: [&str; 7] = [
    ": error: ",       // gcc, clang, glslc, newer versions of ld
    ": fatal error: ", // a missing header
    "): error: ",      // nvcc: `file.cu(12): error: …`
    ": error #",       // nvcc's numbered errors
    "undefined reference to ",
    "cannot find -l",
    ": command not found",
];

/// Returns the first line of a log that is clearly an error.
pub fn first(lines: impl IntoIterator<Item = String>) -> Option<String> {
    let mut lines = lines.into_iter();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.starts_with("CMake Error") {
            // This line has the place, and one of the next lines the message.
            let message = lines.by_ref().take(3).find(|next| !next.trim().is_empty());
            let message = message.unwrap_or_default();
            return Some(format!("{line} {}", message.trim()).trim().to_owned());
        }
        let starts = ["error: ", "fatal error: "].iter().any(|mark| line.starts_with(mark));
        if starts || MARKS.iter().any(|mark| line.contains(mark)) {
            return Some(line.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(log: &str) -> Option<String> {
        first(log.lines().map(str::to_owned))
    }

    // Messages of gcc 12.2, CMake 3.25 and GNU ld 2.40.
    #[test]
    fn the_first_error_of_each_tool_is_found() {
        let gcc = "[7/71] Building CXX object ggml/src/error.cpp.o\nggml/src/ggml.c:12:1: warning: x [-Werror=x]\nggml/src/ggml.c:40:10: fatal error: nothere.h: No such file or directory\n   40 | #include \"nothere.h\"\ncompilation terminated.\n[9/71] z\ny.c:1:1: error: later";
        assert_eq!(
            of(gcc).unwrap(),
            "ggml/src/ggml.c:40:10: fatal error: nothere.h: No such file or directory"
        );
        let cmake = "-- Found Git\nCMake Error at ggml/src/ggml-vulkan/CMakeLists.txt:10 (find_package):\n\n  Could NOT find Vulkan\n";
        assert_eq!(
            of(cmake).unwrap(),
            "CMake Error at ggml/src/ggml-vulkan/CMakeLists.txt:10 (find_package): Could NOT find Vulkan"
        );
        let linker = "/usr/bin/ld: a.o: in function `main':\na.cpp:(.text+0x5): undefined reference to `llama_nothing()'";
        assert!(of(linker).unwrap().ends_with("undefined reference to `llama_nothing()'"));
    }

    #[test]
    fn warnings_and_file_names_are_not_errors() {
        assert_eq!(of("[1/9] Building error.cpp\nx.c:1: warning: y [-Werror=z]\n0 errors"), None);
        assert_eq!(of(""), None);
    }
}
