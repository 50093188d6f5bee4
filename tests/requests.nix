# The options that modules/nixos/requests.nix reads from flags and environment variables.
{ lib, ... }:
let
  requests = import ../modules/nixos/requests.nix { inherit lib; };
  pairs = args: (requests.server args).kvCacheTypes;
  benched =
    benchArgs:
    requests.kvCacheTypes {
      service = null;
      inherit benchArgs;
    };
in
{
  "the service's types by flag, setting and variable" = {
    expr = map pairs [
      {
        extraFlags = [
          "-ctk"
          "q8_0"
          "--cache-type-v"
          "q4_0"
        ];
      }
      {
        settings = {
          cache-type-k = "q8_0";
          cache-type-v = "q4_0";
          no-mmap = true;
        };
      }
      {
        environment = {
          LLAMA_ARG_CACHE_TYPE_K = "q8_0";
          LLAMA_ARG_CACHE_TYPE_V = "q4_0";
        };
      }
    ];
    expected = [
      [ "q8_0-q4_0" ]
      [ "q8_0-q4_0" ]
      [ "q8_0-q4_0" ]
    ];
  };
  "a type that is not set is f16" = {
    expr = map (extraFlags: pairs { inherit extraFlags; }) [
      [ ]
      [
        "-ctv"
        "q8_0"
      ]
      [
        "-ctk"
        "f32"
      ]
    ];
    expected = [
      [ ]
      [ "f16-q8_0" ]
      [ ]
    ];
  };
  "the last flag counts, and a flag before a variable" = {
    expr = pairs {
      extraFlags = [
        "-ctk"
        "q4_0"
        "-ctk"
        "q5_1"
      ];
      environment.LLAMA_ARG_CACHE_TYPE_K = "q8_0";
    };
    expected = [ "q5_1-f16" ];
  };
  "a draft model has its own types" = {
    expr = pairs {
      extraFlags = [
        "-ctkd"
        "q4_0"
        "-ctvd"
        "q4_1"
      ];
    };
    expected = [ "q4_0-q4_1" ];
  };
  "without FlashAttention no kernel is needed" = {
    expr = [
      (pairs {
        settings = {
          cache-type-k = "q8_0";
          flash-attn = "off";
        };
      })
      (pairs {
        # In revisions of 2025 the flag has no value.
        extraFlags = [
          "-fa"
          "-ctk"
          "q8_0"
        ];
      })
      (benched [
        "-ctk"
        "q8_0"
        "-fa"
        "0"
      ])
      (benched [
        "-ctk"
        "q8_0"
        "-fa"
        "0,1"
      ])
    ];
    expected = [
      [ ]
      [ "q8_0-f16" ]
      [ ]
      [ "q8_0-f16" ]
    ];
  };
  "llama-bench measures every combination" = {
    expr = benched [
      "-ctk"
      "f16,q8_0"
      "-p"
      "512"
      "-ctv"
      "f16"
      "--cache-type-v"
      "q4_0"
    ];
    expected = [
      "f16-q4_0"
      "q8_0-f16"
      "q8_0-q4_0"
    ];
  };
  "a build without such kernels gets none" = {
    expr = benched [
      "-ctk"
      "iq4_nl"
    ];
    expected = [ ];
  };
  "threads by flag, setting and variable" = {
    expr = map (args: (requests.server args).threads) [
      {
        extraFlags = [
          "-t"
          "8"
        ];
      }
      { settings.threads = 8; }
      { environment.LLAMA_ARG_THREADS = "8"; }
      {
        extraFlags = [
          "--threads"
          "-1"
        ];
      }
      { }
    ];
    expected = [
      8
      8
      8
      null
      null
    ];
  };
}
