# `services.llama-cpp` with the module, in a virtual machine that answers a request:
#
#   nix build .#legacyPackages.x86_64-linux.nixosTests.server
#
# It needs KVM and a real nixpkgs; tests/outputs.nix evaluates it everywhere.
{ self }:
pkgs:
let
  # The model of llama.cpp's tests.
  model = pkgs.fetchurl {
    url = "https://huggingface.co/ggml-org/models/resolve/main/tinyllamas/stories15M-q4_0.gguf";
    hash = "sha256-ZpZ/vs5tvpeIZZP9u3NYlYSSfikRnsMfCAkHMtGGFzk=";
  };
in
pkgs.testers.runNixOSTest {
  name = "llamafleet-server";

  nodes.server = {
    imports = [ self.nixosModules.default ];
    # The test driver creates the packages of all nodes, so nodes cannot have overlays.
    programs.llama-cpp = {
      enable = true;
      overlay = false;
      threads = 2;
    };
    services.llama-cpp = {
      enable = true;
      settings = {
        model = "${model}";
        ctx-size = 256;
        api-key-file = "/run/credentials/llama-cpp.service/api-key";
      };
    };
    environment.etc."llama-cpp-api-key".text = "a key for this test";
    systemd.services.llama-cpp.serviceConfig.LoadCredential = "api-key:/etc/llama-cpp-api-key";
    virtualisation.memorySize = 2048;
  };

  testScript = ''
    import json

    url = "http://127.0.0.1:8080"
    key = "--header 'Authorization: Bearer a key for this test'"
    body = json.dumps({"prompt": "Once upon a time", "n_predict": 8})

    server.wait_for_unit("llama-cpp.service")
    server.wait_until_succeeds(f"curl --fail --silent {url}/health")

    with subtest("it answers who has the key"):
        answer = server.succeed(f"curl --fail --silent {key} --data '{body}' {url}/completion")
        assert json.loads(answer)["content"], answer
        server.fail(f"curl --fail --silent --data '{body}' {url}/completion")

    with subtest("as the host's variant, without rights"):
        pid = server.succeed("systemctl show --property MainPID --value llama-cpp").strip()
        program = server.succeed(f"readlink /proc/{pid}/exe")
        assert "llama-cpp-cpu-dispatch" in program, program
        server.succeed(f"grep -q '^NoNewPrivs:.*1' /proc/{pid}/status")
        server.succeed(f"tr '\\0' '\\n' < /proc/{pid}/environ | grep -qx LLAMA_ARG_THREADS=2")
  '';
}
