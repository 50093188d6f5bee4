//! Which devices hold the model's weights, from llama.cpp's verbose output. The backends and layers
//! that `-o jsonl` prints are the same when a GPU build falls back to the CPU.
//!
//! Pure: no I/O, no clock.

use serde::Serialize;

use crate::findings::finding::Finding;

/// A device buffer with a part of the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Buffer {
    /// `CUDA0`, `ROCm0`, `Vulkan0`, `CPU_Mapped`, `CUDA_Split`, `Meta(CUDA0,CUDA1)`,
    /// `RPC0[host:port]`, …
    pub device: String,
    pub mebibytes: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Offload {
    /// Devices on which the model was opened (`using device X`).
    pub devices: Vec<String>,
    pub buffers: Vec<Buffer>,
}

/// Options of llama-bench that select devices.
const DEVICE_OPTIONS: [[&str; 2]; 6] = [
    ["-dev", "--device"],
    ["-ngl", "--n-gpu-layers"],
    ["-mg", "--main-gpu"],
    ["-ts", "--tensor-split"],
    ["-sm", "--split-mode"],
    ["-ot", "--override-tensor"],
];

impl Offload {
    /// Parses the next line of stderr, which in 2025-08 and 2026-09 is one of
    /// `llama_model_load_from_file_impl: using device Vulkan0 (llvmpipe …) - 6 MiB free`
    /// `load_tensors:      Vulkan0 model buffer size =    15.80 MiB`
    pub fn line(&mut self, line: &str) {
        if let Some((_, rest)) = line.split_once(": using device ") {
            let device = rest.split_once(" (").map_or(rest, |(device, _)| device).trim();
            if !self.devices.iter().any(|known| known == device) {
                self.devices.push(device.to_owned());
            }
        } else if let Some((before, rest)) = line.split_once(" model buffer size =") {
            let device = before.split_whitespace().last();
            let size = rest.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
            if let (Some(device), Some(mebibytes)) = (device, size) {
                self.buffers.push(Buffer { device: device.to_owned(), mebibytes });
            }
        }
    }

    #[cfg(test)]
    pub fn parse(stderr: &str) -> Self {
        let mut offload = Self::default();
        stderr.lines().for_each(|line| offload.line(line));
        offload
    }

    /// Returns the size of the model's part on opened devices of this kind, in MiB.
    fn size_on(&self, wanted: &str) -> f64 {
        let opened: Vec<(&str, &str)> =
            self.devices.iter().flat_map(|device| parts(device)).collect();
        // A buffer of rows that several devices share has no device number.
        let is_open = |(kind, number): (&str, &str)| {
            opened.iter().any(|(known, of)| *known == kind && (*of == number || number == "_Split"))
        };
        let counts = |buffer: &&Buffer| {
            parts(&buffer.device).any(|part| part.0.eq_ignore_ascii_case(wanted) && is_open(part))
        };
        self.buffers.iter().filter(counts).map(|buffer| buffer.mebibytes).sum()
    }

    /// Reports the GPU backends of the variant that hold no part of the model. If the user's
    /// arguments select devices, one backend is enough.
    pub fn fallback(&self, backends: &[String], args: &[String], target: &str) -> Option<Finding> {
        let gpus: Vec<&str> =
            backends.iter().map(String::as_str).filter(|name| *name != "cpu").collect();
        let unused: Vec<&str> =
            gpus.iter().copied().filter(|name| self.size_on(name) <= 0.0).collect();
        let has = |options: &[&str]| args.iter().any(|arg| options.contains(&arg.as_str()));
        let selects = has(DEVICE_OPTIONS.as_flattened());
        let is_remote = has(&["-rpc", "--rpc"]) && self.size_on("RPC") > 0.0;
        if unused.is_empty() || (selects && unused.len() < gpus.len()) || is_remote {
            return None;
        }
        let used: Vec<String> = self
            .buffers
            .iter()
            .map(|buffer| format!("{} {:.1} MiB", buffer.device, buffer.mebibytes))
            .collect();
        let used = if used.is_empty() { "no device".to_owned() } else { used.join(", ") };
        Some(Finding::error(
            "device-fallback",
            format!(
                "no part of the model is on a {} device of {target}: llama.cpp put it on {used}, \
                 so these figures are not the GPU's",
                unused.join(" or ")
            ),
            format!(
                "check that {target}'s driver is loaded and visible (nvidia-smi, rocminfo or \
                 vulkaninfo), and that its library is in /run/opengl-driver; the log has all \
                 output of loading"
            ),
        ))
    }
}

/// Splits the name of a device or buffer into the kind and number of each device: `Meta(CUDA0,CUDA1)`
/// has CUDA 0 and 1, `RPC[host:port]` has RPC without a number, `CUDA_Split` has CUDA with `_Split`.
/// Names with other suffixes are memory of the machine (`CUDA_Host`).
fn parts(name: &str) -> impl Iterator<Item = (&str, &str)> {
    // The brackets contain an address.
    let name = name.split('[').next().unwrap_or_default();
    let devices = name.split(['(', ')', ',']).map(str::trim).filter(|word| !word.is_empty());
    devices.filter_map(|word| {
        let end = word.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (kind, number) = word.split_at(end);
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        (is_number || number == "_Split").then_some((kind, number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output with `-sm tensor` on two GPUs: one device represents both.
    const TENSOR: &str = include_str!("../../tests/fixtures/llama-bench/new-sm-tensor.stderr");

    /// Output of the Vulkan variant with a software driver, and with that driver hidden.
    const VULKAN: &str =
        include_str!("../../tests/fixtures/llama-bench/old-vulkan-llvmpipe.stderr");
    const HIDDEN: &str = include_str!("../../tests/fixtures/llama-bench/old-vulkan-hidden.stderr");
    /// llama.cpp 2026-09 with `-dev none` prints that all layers are offloaded.
    const DEVICE_NONE: &str = "\
load_tensors: offloaded 9/9 layers to GPU
load_tensors:   CPU_Mapped model buffer size =    16.88 MiB
";

    fn is_fallback(stderr: &str, backends: &[&str], args: &[&str]) -> bool {
        let words =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        Offload::parse(stderr).fallback(&words(backends), &words(args), "carbon").is_some()
    }

    #[test]
    fn only_a_buffer_on_an_opened_device_counts() {
        assert!(!is_fallback(VULKAN, &["vulkan"], &[]));
        assert!(!is_fallback(VULKAN, &["cpu", "vulkan"], &[]));
        assert!(is_fallback(HIDDEN, &["vulkan"], &[]));
        assert!(is_fallback(DEVICE_NONE, &["vulkan"], &[]));
        assert!(is_fallback("", &["cuda"], &[]));
        assert!(is_fallback(VULKAN, &["cuda"], &[]));
        let empty = VULKAN.replace("14.66 MiB", " 0.00 MiB");
        assert!(is_fallback(&empty, &["vulkan"], &[]));
        let unopened = VULKAN.replace("using device Vulkan0", "using device Vulkan1");
        assert!(is_fallback(&unopened, &["vulkan"], &[]));
        assert!(!is_fallback("", &["cpu"], &[]));
    }

    #[test]
    fn recorded_output_is_parsed() {
        let buffer = |device: &str, mebibytes| Buffer { device: device.to_owned(), mebibytes };
        let there = Offload::parse(VULKAN);
        assert_eq!(there.devices, ["Vulkan0"]);
        assert_eq!(there.buffers, [buffer("Vulkan0", 14.66), buffer("CPU_Mapped", 1.12)]);
        let hidden = Offload::parse(HIDDEN);
        assert_eq!(hidden.devices, [""; 0]);
        assert_eq!(hidden.buffers, [buffer("CPU_REPACK", 14.62), buffer("CPU_Mapped", 14.52)]);
    }

    #[test]
    fn each_backend_must_be_used_unless_the_user_selects_devices() {
        let cuda = VULKAN.replace("Vulkan0", "CUDA0");
        assert!(!is_fallback(&cuda, &["cuda"], &[]));
        assert!(is_fallback(&cuda, &["cuda", "rocm"], &[]));
        for option in DEVICE_OPTIONS.concat() {
            assert!(!is_fallback(&cuda, &["cuda", "rocm"], &[option, "CUDA0"]), "{option}");
        }
        let help = include_str!("../../tests/fixtures/llama-bench/new.help");
        let words: Vec<&str> = help.split([' ', ',', '\n']).collect();
        assert!(DEVICE_OPTIONS.concat().iter().all(|option| words.contains(option)));
        // With tensors split over two devices, and with rows.
        assert!(!is_fallback(TENSOR, &["cuda"], &["-sm", "tensor"]));
        assert!(is_fallback(TENSOR, &["rocm"], &[]));
        let rocm = TENSOR.replace("CUDA", "ROCm");
        assert!(!is_fallback(&rocm, &["rocm"], &["-sm", "tensor"]));
        let device = |name: &str| VULKAN.replace("Vulkan0", name);
        let buffer = |text: &str, name: &str| {
            text.replace(" CUDA0 model buffer", &format!(" {name} model buffer"))
        };
        assert!(!is_fallback(&buffer(&cuda, "CUDA_Split"), &["cuda"], &["-sm", "row"]));
        assert!(is_fallback(&buffer(&cuda, "ROCm_Split"), &["cuda"], &["-sm", "row"]));
        assert!(!is_fallback(&device("SYCL0"), &["sycl"], &[]));
        for remote in ["RPC[10.0.0.2:50052]", "RPC0[CUDA0:50052]"] {
            assert!(is_fallback(&device(remote), &["cuda"], &[]), "{remote}");
            assert!(
                !is_fallback(&device(remote), &["cuda"], &["-rpc", "10.0.0.2:50052"]),
                "{remote}"
            );
        }
        // A CUDA host buffer is memory of the machine.
        assert!(is_fallback(&VULKAN.replace("Vulkan0", "CUDA_Host"), &["cuda"], &[]));
    }
}
