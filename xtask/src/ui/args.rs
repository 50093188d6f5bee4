//! Arguments about output.

use clap::{Args, ColorChoice, ValueEnum as _};

/// Output options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct OutputArgs {
    /// Print the result as one JSON document
    #[arg(long, global = true)]
    pub json: bool,
    /// Coloured output
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: ColorChoice,
    /// Print plain lines instead of progress bars (the default in CI and without a terminal)
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// Show the commands that are run, and with -vv also their output
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Print only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// Finds `--color` among the words, for messages about the command line itself.
pub fn color_in(args: impl Iterator<Item = String>) -> ColorChoice {
    let mut args = args.take_while(|arg| arg != "--");
    while let Some(arg) = args.next() {
        let value = match arg.strip_prefix("--color") {
            Some("") => args.next(),
            Some(value) => value.strip_prefix('=').map(str::to_owned),
            None => None,
        };
        if let Some(choice) = value.and_then(|value| ColorChoice::from_str(&value, true).ok()) {
            return choice;
        }
    }
    ColorChoice::Auto
}

/// Sets the colour choice of both streams; `auto` is decided per stream.
pub fn set_color(choice: ColorChoice) {
    match choice {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_color_option_is_found_before_parsing() {
        let color = |words: &str| color_in(words.split(' ').map(str::to_owned));
        assert_eq!(color("xtask check --color=always"), ColorChoice::Always);
        assert_eq!(color("xtask --color never check"), ColorChoice::Never);
        assert_eq!(color("xtask bench x -- --color=always"), ColorChoice::Auto);
        assert_eq!(color("xtask --color"), ColorChoice::Auto);
    }
}
