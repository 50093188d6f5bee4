//! Generated results files for `report`, in which each case that a report must show occurs once.
//! Speeds are of the magnitude measured with two threads of a Sapphire Rapids machine and the 88M and
//! 29M smoke models, with half a percent of noise between processes and between samples.

/// Dates and llama.cpp build numbers.
const BUILDS: [(&str, u32); 12] = [
    ("2026-08-15", 10_453),
    ("2026-08-24", 10_498),
    ("2026-09-02", 10_561),
    ("2026-09-12", 10_617),
    ("2026-09-21", 10_702),
    ("2026-10-01", 10_766),
    ("2026-10-11", 10_851),
    ("2026-10-20", 10_917),
    ("2026-10-30", 10_993),
    ("2026-11-08", 11_060),
    ("2026-11-15", 11_112),
    ("2026-11-21", 11_147),
];
/// Number of llama-bench processes in a run.
pub const ROUNDS: u32 = 10;
/// Samples of each process.
const SAMPLES: u32 = 3;

struct Host {
    name: &'static str,
    cpu: &'static str,
    threads: u32,
    /// Model name, quantization, flags of llama-bench.
    setting: (&'static str, &'static str, &'static [&'static str]),
    /// Indices into [`BUILDS`].
    measured: &'static [usize],
    /// Prompt and generation speed (tokens per second) and the variant, for an index of [`BUILDS`].
    speeds: fn(usize) -> (f64, f64, &'static str),
}

const HOSTS: [Host; 5] = [
    // A wider instruction set since b10561; prompts are 10 % slower from b10851 until b11060.
    Host {
        name: "beryllium",
        cpu: "AMD Ryzen 7 7840U w/ Radeon 780M Graphics",
        threads: 8,
        setting: ("smoke-88m", "q4_0", &[]),
        measured: &[0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 9, 10, 11],
        speeds: |build| match build {
            0..2 => (524.0, 230.0, "cpu-x86-64-v3"),
            6..9 => (838.0, 261.0, "cpu-znver4"),
            _ => (931.0, 261.0, "cpu-znver4"),
        },
    },
    Host {
        name: "beryllium",
        cpu: "AMD Ryzen 7 7840U w/ Radeon 780M Graphics",
        threads: 8,
        setting: ("smoke-88m", "q8_0", &[]),
        measured: &[3, 7, 10],
        speeds: |_| (1668.0, 335.0, "cpu-znver4"),
    },
    // Generation is 14 % slower since b11060.
    Host {
        name: "nitrogen",
        cpu: "Intel(R) Xeon(R) Platinum 8480+",
        threads: 2,
        setting: ("smoke-88m", "q4_0", &["-fa", "1"]),
        measured: &[0, 2, 4, 6, 8, 9, 10, 11],
        speeds: |build| (1469.0, if build < 9 { 463.0 } else { 398.0 }, "cpu-dispatch"),
    },
    Host {
        name: "nitrogen",
        cpu: "Intel(R) Xeon(R) Platinum 8480+",
        threads: 2,
        setting: ("smoke-29m", "q4_0", &[]),
        measured: &[6],
        speeds: |_| (4386.0, 1163.0, "cpu-dispatch"),
    },
    Host {
        name: "boron",
        cpu: "11th Gen Intel(R) Core(TM) i7-11850H @ 2.50GHz",
        threads: 2,
        setting: ("smoke-88m", "q4_0", &[]),
        measured: &[10],
        speeds: |_| (931.0, 261.0, "cpu-tigerlake"),
    },
];

/// Returns the text of a host's bench/HOST.jsonl.
pub fn history(name: &str) -> String {
    let mut random = 7;
    let hosts = HOSTS.iter().enumerate().filter(|(_, host)| host.name == name);
    hosts.map(|(index, host)| lines(host, index, &mut random)).collect()
}

fn lines(host: &Host, index: usize, random: &mut u64) -> String {
    let Host { name, cpu, threads, setting: (model, quantization, flags), .. } = host;
    let mut lines = String::new();
    for (nth, build) in host.measured.iter().enumerate() {
        let ((day, number), (prompt, generation, variant)) =
            (BUILDS[*build], (host.speeds)(*build));
        let date = format!("{day}T{:02}:{:02}:09Z", 10 + index, nth);
        for round in 1..=ROUNDS {
            for (test, speed) in [("pp128", prompt), ("tg32", generation)] {
                let speed = speed * noise(random);
                let samples: Vec<f64> = (0..SAMPLES).map(|_| speed * noise(random)).collect();
                let line = serde_json::json!({
                    "schema": 1, "run": format!("{date}-{}", 4000 + nth), "date": date,
                    "round": round, "host": name, "target": format!("root@{name}"),
                    "variant": variant, "backends": ["cpu"], "microarch": &variant[4..],
                    "storePath": format!("/nix/store/{number:032}-llama-cpp-{variant}"),
                    "llamaCpp": { "rev": format!("{:08x}{number:032x}", number.wrapping_mul(0x9e37_79b1)), "build": number },
                    "model": { "name": model, "params": 88_000_000, "quantization": quantization, "bytes": 50_000_000 },
                    "cpu": cpu, "device": cpu, "threads": threads, "flags": flags,
                    "results": [{
                        "test": test, "tokensPerSecond": speed, "stddev": speed * 0.005, "samples": samples,
                    }],
                });
                lines += &format!("{line}\n");
            }
        }
    }
    lines
}

/// Returns a pseudo-random factor of 1 ± 0.5 %.
fn noise(random: &mut u64) -> f64 {
    *random =
        random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    0.995 + (*random >> 33) as f64 / f64::from(u32::MAX) * 0.02
}
