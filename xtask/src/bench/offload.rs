//! Where a model's weights really went: llama.cpp says it when it is verbose, for what
//! `-o jsonl` tells (backends, layers) holds also when a GPU build runs on the CPU.
//!
//! Pure: no I/O, no clock.

use serde::Serialize;

use crate::findings::finding::Finding;

/// A device that holds a part of the model.
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
    /// `using device X`: what the model was opened with.
    pub devices: Vec<String>,
    pub buffers: Vec<Buffer>,
}

/// The options of llama-bench that choose among devices.
const CHOOSING: [[&str; 2]; 6] = [
    ["-dev", "--device"],
    ["-ngl", "--n-gpu-layers"],
    ["-mg", "--main-gpu"],
    ["-ts", "--tensor-split"],
    ["-sm", "--split-mode"],
    ["-ot", "--override-tensor"],
];

impl Offload {
    /// Takes the next line of stderr. Of 2025-08 and 2026-09:
    /// `llama_model_load_from_file_impl: using device Vulkan0 (llvmpipe …) - 6 MiB free`
    /// `load_tensors:      Vulkan0 model buffer size =    15.80 MiB`
    pub fn line(&mut self, line: &str) {
        let mut add = |device: &str| {
            if !self.devices.iter().any(|known| known == device) {
                self.devices.push(device.to_owned());
            }
        };
        if let Some((_, rest)) = line.split_once(": using device ") {
            add(rest.split_once(" (").map_or(rest, |(device, _)| device).trim());
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

    /// How much of the model lies on opened devices whose kind `is_wanted`, in MiB.
    fn on(&self, is_wanted: impl Fn(&str) -> bool) -> f64 {
        let opened: Vec<(&str, &str)> =
            self.devices.iter().flat_map(|device| parts(device)).collect();
        // Rows that several devices of one kind share have no device's number.
        let is_open = |(kind, number): (&str, &str)| {
            opened.iter().any(|(known, of)| *known == kind && (*of == number || number == "_Split"))
        };
        let counts =
            |buffer: &&Buffer| parts(&buffer.device).any(|it| is_wanted(it.0) && is_open(it));
        self.buffers.iter().filter(counts).map(|buffer| buffer.mebibytes).sum()
    }

    /// The GPU backends of the variant on which nothing of the model lies. Where the
    /// user's arguments choose among devices, one backend is enough.
    pub fn fallback(&self, backends: &[String], args: &[String], target: &str) -> Option<Finding> {
        let gpus: Vec<&str> =
            backends.iter().map(String::as_str).filter(|name| *name != "cpu").collect();
        let lacks = |name: &&str| self.on(|kind| kind.eq_ignore_ascii_case(name)) <= 0.0;
        let bare: Vec<&str> = gpus.iter().copied().filter(lacks).collect();
        let gives = |options: &[&str]| args.iter().any(|arg| options.contains(&arg.as_str()));
        let chooses = gives(CHOOSING.as_flattened());
        let is_remote = gives(&["-rpc", "--rpc"]) && self.on(|kind| kind == "RPC") > 0.0;
        if bare.is_empty() || (chooses && bare.len() < gpus.len()) || is_remote {
            return None;
        }
        let held: Vec<String> = self
            .buffers
            .iter()
            .map(|buffer| format!("{} {:.1} MiB", buffer.device, buffer.mebibytes))
            .collect();
        let held = if held.is_empty() { "no device".to_owned() } else { held.join(", ") };
        Some(Finding::error(
            "device-fallback",
            format!(
                "no part of the model is on a {} device of {target}: llama.cpp put it on {held}, \
                 so these figures are not the GPU's",
                bare.join(" or ")
            ),
            format!(
                "check that {target}'s driver is loaded and visible (nvidia-smi, rocminfo or \
                 vulkaninfo), and that its library is in /run/opengl-driver; the log has all \
                 output of loading"
            ),
        ))
    }
}

/// The devices in a device's or buffer's name, each as its kind and number: of
/// `Meta(CUDA0,CUDA1)` CUDA's 0 and 1; of `RPC[host:port]` RPC's, without a number; of
/// `CUDA_Split` CUDA's `_Split`. Other suffixes name memory of the machine (`CUDA_Host`).
fn parts(name: &str) -> impl Iterator<Item = (&str, &str)> {
    // What is in brackets is an address.
    let name = name.split('[').next().unwrap_or_default();
    let words = name.split(['(', ')', ',']).map(str::trim).filter(|word| !word.is_empty());
    words.filter_map(|word| {
        let end = word.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (kind, number) = word.split_at(end);
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        (is_number || number == "_Split").then_some((kind, number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What llama.cpp prints with `-sm tensor` on two GPUs: one device that stands for both.
    const TENSOR: &str = include_str!("../../tests/fixtures/llama-bench/new-sm-tensor.stderr");

    /// The Vulkan variant on a real driver, which is a program here, and with that hidden.
    const VULKAN: &str =
        include_str!("../../tests/fixtures/llama-bench/old-vulkan-llvmpipe.stderr");
    const HIDDEN: &str = include_str!("../../tests/fixtures/llama-bench/old-vulkan-hidden.stderr");
    /// llama.cpp 2026-09 with `-dev none` prints that all layers are offloaded.
    const LIE: &str = "\
load_tensors: offloaded 9/9 layers to GPU
load_tensors:   CPU_Mapped model buffer size =    16.88 MiB
";

    fn fallen(said: &str, backends: &[&str], args: &[&str]) -> bool {
        let words =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        Offload::parse(said).fallback(&words(backends), &words(args), "carbon").is_some()
    }

    #[test]
    fn only_a_buffer_on_a_device_that_was_opened_is_proof() {
        assert!(!fallen(VULKAN, &["vulkan"], &[]));
        assert!(!fallen(VULKAN, &["cpu", "vulkan"], &[]));
        assert!(fallen(HIDDEN, &["vulkan"], &[]));
        assert!(fallen(LIE, &["vulkan"], &[]));
        assert!(fallen("", &["cuda"], &[]));
        assert!(fallen(VULKAN, &["cuda"], &[]));
        let empty = VULKAN.replace("14.66 MiB", " 0.00 MiB");
        assert!(fallen(&empty, &["vulkan"], &[]));
        let unopened = VULKAN.replace("using device Vulkan0", "using device Vulkan1");
        assert!(fallen(&unopened, &["vulkan"], &[]));
        assert!(!fallen("", &["cpu"], &[]));
    }

    #[test]
    fn what_was_recorded_is_read_whole() {
        let buffer = |device: &str, mebibytes| Buffer { device: device.to_owned(), mebibytes };
        let there = Offload::parse(VULKAN);
        assert_eq!(there.devices, ["Vulkan0"]);
        assert_eq!(there.buffers, [buffer("Vulkan0", 14.66), buffer("CPU_Mapped", 1.12)]);
        let hidden = Offload::parse(HIDDEN);
        assert_eq!(hidden.devices, [""; 0]);
        assert_eq!(hidden.buffers, [buffer("CPU_REPACK", 14.62), buffer("CPU_Mapped", 14.52)]);
    }

    #[test]
    fn each_backend_of_a_variant_counts_unless_the_user_chose() {
        let cuda = VULKAN.replace("Vulkan0", "CUDA0");
        assert!(!fallen(&cuda, &["cuda"], &[]));
        assert!(fallen(&cuda, &["cuda", "rocm"], &[]));
        for option in CHOOSING.concat() {
            assert!(!fallen(&cuda, &["cuda", "rocm"], &[option, "CUDA0"]), "{option}");
        }
        let help = include_str!("../../tests/fixtures/llama-bench/new.help");
        let words: Vec<&str> = help.split([' ', ',', '\n']).collect();
        assert!(CHOOSING.concat().iter().all(|option| words.contains(option)));
        // With tensors split over two devices, and with rows.
        assert!(!fallen(TENSOR, &["cuda"], &["-sm", "tensor"]));
        assert!(fallen(TENSOR, &["rocm"], &[]));
        let rocm = TENSOR.replace("CUDA", "ROCm");
        assert!(!fallen(&rocm, &["rocm"], &["-sm", "tensor"]));
        let device = |name: &str| VULKAN.replace("Vulkan0", name);
        let buffer = |text: &str, name: &str| {
            text.replace(" CUDA0 model buffer", &format!(" {name} model buffer"))
        };
        assert!(!fallen(&buffer(&cuda, "CUDA_Split"), &["cuda"], &["-sm", "row"]));
        assert!(fallen(&buffer(&cuda, "ROCm_Split"), &["cuda"], &["-sm", "row"]));
        assert!(!fallen(&device("SYCL0"), &["sycl"], &[]));
        for remote in ["RPC[10.0.0.2:50052]", "RPC0[CUDA0:50052]"] {
            assert!(fallen(&device(remote), &["cuda"], &[]), "{remote}");
            assert!(!fallen(&device(remote), &["cuda"], &["-rpc", "10.0.0.2:50052"]), "{remote}");
        }
        // A host buffer of CUDA's is memory of the machine.
        assert!(fallen(&VULKAN.replace("Vulkan0", "CUDA_Host"), &["cuda"], &[]));
    }
}
