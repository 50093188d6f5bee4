# The LLM server: RTX 3080 Ti and Instinct MI50.
{ pkgs, ... }:
let
  # llama-server's models. `model` is a file that Nix fetches and pins; `hf-repo` is downloaded to
  # /var/cache/llama-cpp at the first request. `device` selects the card.
  models = (pkgs.formats.ini { }).generate "models.ini" {
    "qwen3-0.6b" = {
      model = "${pkgs.fetchurl {
        url = "https://huggingface.co/bartowski/Qwen_Qwen3-0.6B-GGUF/resolve/main/Qwen_Qwen3-0.6B-Q4_K_M.gguf";
        hash = "sha256-ms/B4AExHzS0JSABtiby5GbVkqQgZfZlcb/zeQ1OGxQ=";
      }}";
      device = "CUDA0";
      load-on-startup = true;
    };
    "gpt-oss-20b" = {
      hf-repo = "ggml-org/gpt-oss-20b-GGUF";
      device = "ROCm0";
    };
    # Too large for a single card.
    "qwen3-30b-a3b" = {
      hf-repo = "unsloth/Qwen3-30B-A3B-GGUF:Q4_K_M";
      device = "CUDA0,ROCm0";
    };
  };
in
{
  programs.llama-cpp = {
    enable = true;
    # Both cards in one build, which needs ggml's loadable modules.
    backend = [
      "cuda"
      "rocm"
    ];
    cudaCapabilities = [ "8.6" ];
    rocmTargets = [ "gfx906" ];
    # Select the CPU module at start-up: the build has loadable modules anyway, and the board will
    # be replaced.
    microarch = "dispatch";
  };

  services.llama-cpp = {
    enable = true;
    openFirewall = true;
    settings = {
      host = "0.0.0.0";
      port = 8080;
      # No `model`: the server starts a process for each requested model.
      models-preset = "${models}";
      models-max = 2;
      api-key-file = "/run/credentials/llama-cpp.service/api-key";
    };
  };
  # One key per line, readable by root only; see docs/serving.md.
  systemd.services.llama-cpp.serviceConfig.LoadCredential = "api-key:/var/lib/llama-cpp-api-key";

  # The NVIDIA driver and the CUDA libraries.
  nixpkgs.config.allowUnfree = true;
  services.xserver.videoDrivers = [
    "amdgpu"
    "nvidia"
  ];
  hardware.graphics.enable = true;
  hardware.nvidia.open = true;
  # Without a screen the driver would initialise the card again for each process.
  hardware.nvidia.nvidiaPersistenced = true;

  system.stateVersion = "25.05";
}
