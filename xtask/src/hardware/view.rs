//! What `probe` shows a person: the machine, then the lines to put into its file.

use crate::findings::view::describe;
use crate::hardware::facts::{Facts, Gpu};
use crate::hardware::probe_output::ProbeReport;
use crate::ui::{Ui, units};

pub fn print(ui: &Ui, report: &ProbeReport) {
    if let Some(facts) = &report.facts {
        for (name, value) in rows(facts) {
            ui.result(format!("{name:<8}  {value}"));
        }
    }
    if let Some(recommendation) = &report.recommendation {
        let place = match report.host.as_str() {
            "local" => "for this machine".to_owned(),
            host => format!("for hosts/{host}/default.nix"),
        };
        ui.status(format!("\n{}", ui.dim(&format!("# {place}"))));
        ui.result(recommendation.nix());
    }
    for finding in &report.findings {
        ui.warn(describe(ui, &report.host, finding));
    }
}

fn rows(facts: &Facts) -> Vec<(&'static str, String)> {
    let model = facts.cpu.model.as_deref().unwrap_or("of unknown name");
    let fits = facts.cpu.microarch.as_deref().map(|name| format!(" ({name})"));
    let mut rows = vec![("CPU", format!("{model}{}", fits.unwrap_or_default()))];
    rows.extend(facts.memory_bytes.map(|bytes| ("memory", units::bytes(bytes))));
    rows.extend(facts.kernel.clone().map(|kernel| ("kernel", kernel)));
    rows.extend(facts.nix_version.clone().map(|version| ("Nix", version)));
    if facts.gpus.is_empty() {
        rows.push(("GPU", "none".to_owned()));
    }
    rows.extend(facts.gpus.iter().map(|gpu| ("GPU", describe_gpu(gpu))));
    rows
}

fn describe_gpu(gpu: &Gpu) -> String {
    let details = [
        gpu.cuda_capability.as_ref().map(|capability| format!("CUDA {capability}")),
        gpu.gfx_target.clone(),
        gpu.vram_bytes.map(units::bytes),
        gpu.vulkan.as_ref().map(|api| match api.as_str() {
            "render-node" => "Vulkan by its render node".to_owned(),
            api => format!("Vulkan {api}"),
        }),
        gpu.driver.as_ref().map(|driver| format!("driver {driver}")),
    ];
    let details: Vec<String> = details.into_iter().flatten().collect();
    if details.is_empty() {
        return gpu.name.clone();
    }
    format!("{}: {}", gpu.name, details.join(", "))
}
