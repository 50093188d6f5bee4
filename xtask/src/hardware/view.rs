//! Prints `probe`'s result: the machine's hardware, then the options to add to its configuration.

use crate::findings;
use crate::hardware::cores::Cores;
use crate::hardware::facts::{Facts, Gpu, RENDER_NODE};
use crate::hardware::microarch::Detected;
use crate::hardware::probe_output::ProbeReport;
use crate::hardware::recommendation::Recommendation;
use crate::target::selection::LOCAL;
use crate::ui::{Ui, units, wrap};

pub fn print(ui: &Ui, report: &ProbeReport) {
    if let Some(facts) = &report.facts {
        for (name, value) in rows(facts, report.recommendation.as_ref()) {
            let indent = "12345678  ".len();
            ui.result(format!("{name:<8}  {}", wrap(&value, ui.table_columns, indent, indent)));
        }
    }
    if let Some(recommendation) = &report.recommendation {
        let place = match (report.host.as_str(), report.target.as_str()) {
            (LOCAL, LOCAL) => "for this machine".to_owned(),
            (LOCAL, target) => format!("for {target}"),
            (host, _) => format!("for hosts/{host}/default.nix"),
        };
        ui.status(format!("\n{}", ui.dim(&format!("# {place}"))));
        ui.verbatim(&recommendation.nix());
    }
    // Without a host name, `--target` or `--facter` names what was read.
    let name = if report.host == LOCAL { &report.target } else { &report.host };
    for finding in &report.findings {
        findings::view::print(ui, name, finding);
    }
}

fn rows(facts: &Facts, recommended: Option<&Recommendation>) -> Vec<(&'static str, String)> {
    let microarch = recommended
        .map(|it| Detected { name: &it.microarch, is_own: it.microarch_is_own }.to_string());
    // The kernel reports no model name for ARM CPUs.
    let cpu = match (facts.cpu.model.clone(), microarch) {
        (Some(model), Some(microarch)) => format!("{model} ({microarch})"),
        (model, microarch) => model.or(microarch).unwrap_or_else(|| "unknown".to_owned()),
    };
    let mut rows = vec![("CPU", cpu)];
    match &facts.cores {
        Some(cores) => {
            rows.push(("cores", cores.describe()));
            rows.push(("threads", recommended_threads(cores)));
        }
        None => rows.push(("cores", "unknown".to_owned())),
    }
    rows.extend(facts.memory_bytes.map(|bytes| ("memory", units::bytes(bytes))));
    rows.extend(facts.kernel.clone().map(|kernel| ("kernel", kernel)));
    rows.extend(facts.nix_version.clone().map(|version| ("Nix", version)));
    if facts.gpus.is_empty() {
        let none = if facts.gpus_unknown { "unknown" } else { "none" };
        rows.push(("GPU", none.to_owned()));
    }
    rows.extend(facts.gpus.iter().map(|gpu| ("GPU", describe_gpu(facts, gpu))));
    rows
}

/// Returns how many threads llama.cpp should use, and why.
fn recommended_threads(cores: &Cores) -> String {
    let Some(threads) = cores.threads() else {
        return format!("unknown; measure with `bench HOST --sweep t=1..{}`", cores.physical);
    };
    let why = match (cores.sockets_with_memory(), &cores.kinds[..]) {
        _ if cores.usable == Some(threads) => "one for each usable core",
        (Some(2..), _) => "the cores of one socket; to use all, measure `--numa distribute`",
        (_, [_, _, ..]) => "one for each fast core",
        _ => "one for each core",
    };
    format!("{threads} ({why})")
}

fn describe_gpu(facts: &Facts, gpu: &Gpu) -> String {
    let details = [
        gpu.cuda_capability.as_ref().map(|capability| format!("CUDA {capability}")),
        gpu.gfx_target.clone(),
        facts.memory_of(gpu).map(|bytes| {
            let source = match gpu.mig_bytes.len() {
                0 if gpu.unified_memory => " of the machine's memory".to_owned(),
                0 => String::new(),
                count => format!(" in the largest of {count} MIG slices"),
            };
            units::bytes(bytes) + &source
        }),
        gpu.vulkan.as_ref().map(|api| match api.as_str() {
            RENDER_NODE => "Vulkan by its render node".to_owned(),
            api => format!("Vulkan {api}"),
        }),
        gpu.driver.as_ref().map(|driver| format!("driver {driver}")),
    ];
    let mut details: Vec<String> = details.into_iter().flatten().collect();
    if gpu.unprobed {
        details.push("what can use it is unknown".to_owned());
    }
    if details.is_empty() {
        return gpu.name.clone();
    }
    format!("{}: {}", gpu.name, details.join(", "))
}
