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
    /// `CUDA0`, `ROCm0`, `Vulkan0`, `CPU`, `CPU_Mapped`, …
    pub device: String,
    pub mebibytes: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Offload {
    /// `using device X`: what the model was opened with.
    pub devices: Vec<String>,
    pub buffers: Vec<Buffer>,
}

impl Offload {
    /// Takes the next line of stderr. Both eras:
    /// `llama_model_load_from_file_impl: using device Vulkan0 (llvmpipe …) - 6 MiB free`
    /// `load_tensors:      Vulkan0 model buffer size =    15.80 MiB`
    pub fn line(&mut self, line: &str) {
        let mut add = |device: &str| {
            if !self.devices.iter().any(|known| known == device) {
                self.devices.push(device.to_owned());
            }
        };
        if let Some((_, rest)) = line.split_once(": using device ") {
            rest.split_whitespace().next().into_iter().for_each(&mut add);
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

    /// How much of the model lies on devices of this backend, in MiB.
    fn on(&self, backend: &str) -> f64 {
        let of = |name: &str| {
            let number =
                name.get(..backend.len()).filter(|start| start.eq_ignore_ascii_case(backend));
            let rest = number.and_then(|_| name.get(backend.len()..)).unwrap_or_default();
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())
        };
        let opened = |name: &str| self.devices.iter().any(|device| device == name);
        let buffers = self.buffers.iter().filter(|b| of(&b.device) && opened(&b.device));
        buffers.map(|buffer| buffer.mebibytes).sum()
    }

    /// The GPU backends of the variant on which nothing of the model lies. Where the
    /// user's arguments choose among devices, one backend is enough.
    pub fn fallback(&self, backends: &[String], args: &[String], target: &str) -> Option<Finding> {
        let gpus: Vec<&str> =
            backends.iter().map(String::as_str).filter(|name| *name != "cpu").collect();
        let bare: Vec<&str> = gpus.iter().copied().filter(|name| self.on(name) <= 0.0).collect();
        let chosen = ["-dev", "--device", "-ngl", "-mg", "--main-gpu", "-ts", "-sm", "-ot"];
        let chooses = args.iter().any(|arg| chosen.contains(&arg.as_str()));
        if bare.is_empty() || (chooses && bare.len() < gpus.len()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The Vulkan variant on a real driver, which is a program here, and with that hidden.
    const VULKAN: &str =
        include_str!("../../tests/fixtures/llama-bench/old-vulkan-llvmpipe.stderr");
    const HIDDEN: &str = include_str!("../../tests/fixtures/llama-bench/old-vulkan-hidden.stderr");
    /// The new era with `-dev none`: it says that all layers are offloaded.
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
        assert!(!fallen(&cuda, &["cuda", "rocm"], &["-dev", "CUDA0"]));
        // A host buffer of CUDA's is memory of the machine.
        assert!(fallen(&VULKAN.replace("Vulkan0", "CUDA_Host"), &["cuda"], &[]));
    }
}
