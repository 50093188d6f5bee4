//! Compares the output of two builds, to find miscompiled kernels. llama-perplexity stores the
//! probabilities of every next token of one build, and computes how much those of another build
//! differ (Kullback-Leibler divergence, in nats). llama-completion continues a prompt with the most
//! likely tokens.
//!
//! Pure: no I/O, no clock.

use serde::Serialize;

use crate::findings::finding::Finding;

/// Text for llama-perplexity. It has about 350 tokens with the tokenizers of real models, and twice as
/// many with the smoke model's; [`CONTEXT`] times [`CHUNKS`] are needed.
pub const TEXT: &str = "A machine room at night is never silent. Fans turn behind every grille, \
    relays tick, and somewhere a disk that should have been replaced last spring seeks and seeks \
    again. Whoever is on watch learns these sounds the way a sailor learns the creaking of a hull: \
    not by listening, but by noticing when one of them stops. The instruments on the wall tell the \
    rest. Their needles stand where they stood an hour ago, and the paper that winds out of the \
    recorder shows five lines, nearly straight, with a small tremor at a quarter past two when the \
    elevator ran. Most of the work is waiting. There is tea, there is a book with a broken spine, \
    and there is the log, in which every reading has its place even when nothing has changed. \
    Numbers written down at the right time are worth more than opinions formed afterwards. If the \
    temperature of the third cabinet rises by two degrees, one looks at the valve first, then at \
    the pump, and only then at the cabinet; in that order, because the valve is near the door and \
    the pump is not. By four o'clock the windows turn grey. The first train crosses the bridge, \
    the lamps in the yard go out one after another, and the colleague of the morning shift comes \
    up the stairs, carrying bread. They read the log together, line by line. Nothing happened, and \
    it is all there to be seen. A good night leaves only a few figures, and these agree with those \
    of the night before. It is this agreement that one is paid for: that what is measured here \
    today can be measured again tomorrow, by somebody else, with the same result.";

/// Tokens per chunk, and number of chunks. llama-perplexity evaluates half of each chunk, and prints
/// no statistics for less than a hundred tokens.
pub const CONTEXT: u32 = 64;
pub const CHUNKS: u32 = 4;

/// Prompt for llama-completion. Every trained model continues to count, with probabilities so clear
/// that rounding does not change a token; in other texts it does, within about thirty tokens.
pub const PROMPT: &str = "1, 2, 3, 4, 5,";
pub const TOKENS: u32 = 24;
/// Expected start of the continuation, without spaces.
const COUNTED: &str = "6,7,8,";

/// Maximum mean divergence that rounding explains. Between SSE2 kernels and those of AVX-512 or AMX,
/// which round sums in another order and quantize activations in other blocks, it is 0.0002 on the
/// smoke model. GPU kernels with half precision stay below 0.002. One kernel with a wrong sign or
/// block causes 0.1 and more.
const MAX_MEAN: f64 = 0.01;
/// The same for the worst token, since a kernel may be wrong in one place only, such as the end of a
/// row.
const MAX_ANYWHERE: f64 = 0.5;

/// The divergence of a build from the reference build.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Divergence {
    /// `prompt` or `generation`, which use different kernels: for many tokens at once, and for one.
    pub way: &'static str,
    /// Nats.
    pub mean_divergence: f64,
    pub max_divergence: f64,
    pub perplexity: f64,
    pub reference_perplexity: f64,
    /// How often both have the same most likely token, in percent.
    pub same_top_percent: f64,
}

/// The code paths that are compared, and their batch sizes in tokens.
pub const WAYS: [(&str, u32); 2] = [("prompt", CONTEXT), ("generation", 1)];

/// Prefix of the line before the output of each run.
const MARK: &str = "#llamafleet ";

/// Returns the output of the run with this name, if it was started.
fn section<'a>(printed: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = printed.split_once(&format!("{MARK}{name}\n"))?;
    rest.split(MARK).next()
}

/// Returns the name of the last started run.
pub fn last_run(printed: &str) -> Option<&str> {
    printed.lines().rev().find_map(|line| line.strip_prefix(MARK))
}

/// Parses the divergences of all code paths.
///
/// # Errors
/// The field that is missing or not a number.
pub fn divergences(printed: &str) -> Result<Vec<Divergence>, &'static str> {
    let one = |(way, _)| parse(way, section(printed, way).unwrap_or_default());
    WAYS.into_iter().map(one).collect()
}

/// Parses the output of one llama-perplexity run.
fn parse(way: &'static str, printed: &str) -> Result<Divergence, &'static str> {
    let number = |name: &'static str| {
        let line = printed.lines().find_map(|line| line.trim().strip_prefix(name));
        let word = line.and_then(|rest| rest.trim_start().strip_prefix(':'));
        let word = word.and_then(|rest| rest.split(['±', '%', ' ']).find(|word| !word.is_empty()));
        // C++ prints nan and inf, which Rust parses.
        word.and_then(|word| word.parse::<f64>().ok()).ok_or(name)
    };
    Ok(Divergence {
        way,
        mean_divergence: number("Mean    KLD")?,
        max_divergence: number("Maximum KLD")?,
        perplexity: number("Mean PPL(Q)")?,
        reference_perplexity: number("Mean PPL(base)")?,
        same_top_percent: number("Same top p")?,
    })
}

impl Divergence {
    pub fn is_close(&self) -> bool {
        // NaN is not close.
        self.mean_divergence <= MAX_MEAN && self.max_divergence <= MAX_ANYWHERE
    }
}

/// Reports a divergence that rounding does not explain.
pub fn wrong_output(divergences: &[Divergence], variant: &str, reference: &str) -> Option<Finding> {
    let wrong = divergences.iter().find(|one| !one.is_close())?;
    Some(Finding::error(
        "wrong-output",
        format!(
            "the output of {variant} differs from that of {reference} ({}): the KL divergence of \
             the next token is {:.4} nats on average and {:.4} at most, but rounding explains \
             only {MAX_MEAN} and {MAX_ANYWHERE}; perplexity {:.1} instead of {:.1}",
            wrong.way,
            wrong.mean_divergence,
            wrong.max_divergence,
            wrong.perplexity,
            wrong.reference_perplexity
        ),
        WRONG_KERNEL,
    ))
}

const WRONG_KERNEL: &str = "a kernel of this build is wrong, so its speed means nothing: check \
    extraCmakeFlags and the compiler's version; run `cargo xtask bench HOST --verify` after each \
    update to notice it";

/// The continuations of a prompt by both builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    pub prompt: &'static str,
    pub text: String,
    pub reference_text: String,
    pub is_equal: bool,
}

/// Parses the continuations.
///
/// # Errors
/// Why they are unknown.
pub fn completion(printed: &str) -> Result<Completion, &'static str> {
    let text = |name| {
        let section = section(printed, name)
            .ok_or("the packages have neither llama-completion nor llama-cli")?;
        section.strip_suffix("\n\n\n").ok_or("only a part of the text was printed")
    };
    let (reference_text, text) = (text("reference-text")?.to_owned(), text("text")?.to_owned());
    let is_equal = text == reference_text;
    Ok(Completion { prompt: PROMPT, text, reference_text, is_equal })
}

/// Whether the text is empty, or one piece repeated.
fn is_degenerate(text: &str) -> bool {
    let chars: Vec<char> = text.trim().chars().collect();
    let repeats = |length: usize| chars.iter().zip(&chars[length..]).all(|(one, next)| one == next);
    chars.is_empty() || (1..=chars.len() / 4).any(repeats)
}

/// Reports a different continuation. It is an error if the reference build counts, as with every
/// trained model. With random weights, rounding can change the text, but not into one repeated token.
pub fn wrong_text(completion: &Completion, variant: &str, reference: &str) -> Option<Finding> {
    let Completion { prompt, text, reference_text, is_equal } = completion;
    if *is_equal {
        return None;
    }
    let message = format!(
        "after {prompt:?}, {variant} continues {text:?}, and {reference} {reference_text:?}"
    );
    let counts = reference_text.split_whitespace().collect::<String>().starts_with(COUNTED);
    Some(if counts || is_degenerate(text) && !is_degenerate(reference_text) {
        Finding::error("wrong-output", message, WRONG_KERNEL)
    } else {
        Finding::note(
            "text-not-compared",
            format!("{message}: this model does not count on, so rounding can explain it"),
            "verify with a trained model: `--model FILE`, or `--model smollm2`",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output of llama-perplexity of llama.cpp 2026-09 with `--kl-divergence -c 64`: the tuned build
    /// (Zen 5) against x86-64 without extensions, and the same build with one wrong kernel.
    const RIGHT: &str = include_str!("../../../tests/fixtures/llama-perplexity/new.right");
    const WRONG: &str = include_str!("../../../tests/fixtures/llama-perplexity/new.wrong");
    const OLD: &str = include_str!("../../../tests/fixtures/llama-perplexity/old.right");

    #[test]
    fn rounding_is_close_and_a_wrong_kernel_is_not() {
        for (printed, close) in [(RIGHT, true), (OLD, true), (WRONG, false)] {
            let divergences = parse("prompt", printed).unwrap();
            assert_eq!(divergences.is_close(), close, "{divergences:?}");
            let finding = wrong_output(&[divergences], "cpu-znver5", "cpu-x86-64");
            assert_eq!(finding.map(|finding| finding.code), (!close).then_some("wrong-output"));
        }
    }

    #[test]
    fn a_value_that_is_not_a_number_is_not_close() {
        let line = RIGHT.lines().find(|line| line.starts_with("Mean    KLD")).unwrap();
        for nonsense in ["nan", "-nan", "inf"] {
            let printed =
                RIGHT.replace(line, &format!("Mean    KLD:        {nonsense} ±  {nonsense}"));
            assert!(!parse("prompt", &printed).unwrap().is_close(), "{nonsense}");
        }
        assert_eq!(parse("prompt", &RIGHT.replace(line, "")), Err("Mean    KLD"));
        assert_eq!(parse("prompt", ""), Err("Mean    KLD"));
    }

    fn texts(reference: &str, text: &str) -> Completion {
        // As script.sh prints them.
        let printed = format!("{MARK}reference-text\n{reference}\n\n\n{MARK}text\n{text}\n\n\n");
        completion(&printed).unwrap()
    }

    fn verdict(reference: &str, text: &str) -> Option<&'static str> {
        let finding = wrong_text(&texts(reference, text), "cpu-znver5", "cpu-x86-64");
        finding.map(|finding| finding.code)
    }

    /// Texts of llama-completion of llama.cpp 2026-09 with SmolLM2 135M: from the tuned build, and
    /// from the same build without one of eight sums of `ggml_vec_dot_q4_1_q8_1`.
    #[test]
    fn a_trained_model_must_count_the_same() {
        let counted = " 6, 7, 8, 9, 10, 11, 12,";
        let wrong = "ercercercercercercercercercercercercercercercercercercercercercercercerc";
        assert_eq!(verdict(counted, counted), None);
        for text in [wrong, "", " 6, 7, 8, 9, 10, 11, 13,", " 6, 7, 8, 9, 10, 11, 12, 13,"] {
            assert_eq!(verdict(counted, text), Some("wrong-output"), "{text}");
        }
    }

    /// The same with generated models, whose next tokens are equally likely.
    #[test]
    fn random_weights_may_change_the_text_but_not_repeat_one_token() {
        let random = "doudoudouatyatymqdyzdmqd";
        for text in ["doudoudouaty|iqaqoarh|", "doudoudouatyatymqdyzdm\u{fffd}"] {
            assert_eq!(verdict(random, text), Some("text-not-compared"), "{text}");
        }
        for text in ["dmdmdmdmdmdmdmdmd", " ", "\n\n\n", "dddd"] {
            assert_eq!(verdict(random, text), Some("wrong-output"), "{text:?}");
            // Both texts are degenerate.
            assert_eq!(verdict("eoeoeoeoeoeo", text), Some("text-not-compared"), "{text:?}");
        }
    }

    #[test]
    fn a_truncated_or_missing_text_is_unknown() {
        let both = format!("{MARK}reference-text\n 6, 7\n\n\n{MARK}text\n 6, 7\n\n\n");
        assert!(completion(&both).unwrap().is_equal);
        let ends = both.match_indices('\n').map(|(end, _)| end);
        for end in ends.filter(|end| *end < both.len() - 1) {
            assert!(completion(&both[..end]).is_err(), "{:?}", &both[..end]);
        }
        assert_eq!(last_run(&both), Some("text"));
        assert_eq!(last_run(&both[..30]), Some("reference-text"));
    }
}
