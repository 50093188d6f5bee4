# Licences of the testbed's packages, and common ones of a fleet's packages.
{ lib }:
let
  # `name` is what error messages print.
  license = name: fullName: {
    inherit fullName;
    shortName = name;
    deprecated = false;
    free = true;
    redistributable = true;
  };
  spdx =
    spdxId: fullName: name:
    license name fullName
    // {
      inherit spdxId;
      url = "https://spdx.org/licenses/${spdxId}.html";
    };
  unfree =
    fullName: redistributable: name:
    license name fullName
    // {
      inherit redistributable;
      free = false;
    };
  cuda =
    redistributable:
    # In Nixpkgs the short name of both has a space.
    unfree "CUDA Toolkit End User License Agreement (EULA)" redistributable "CUDA EULA"
    // {
      url = "https://docs.nvidia.com/cuda/eula/index.html#cuda-toolkit-supplement-license-agreement";
    };
in
lib.mapAttrs (name: make: make name) {
  asl20 = spdx "Apache-2.0" "Apache License 2.0";
  boost = spdx "BSL-1.0" "Boost Software License 1.0";
  bsd2 = spdx "BSD-2-Clause" ''BSD 2-clause "Simplified" License'';
  bsd3 = spdx "BSD-3-Clause" ''BSD 3-clause "New" or "Revised" License'';
  curl = spdx "curl" "curl License";
  gpl2Only = spdx "GPL-2.0-only" "GNU General Public License v2.0 only";
  gpl2Plus = spdx "GPL-2.0-or-later" "GNU General Public License v2.0 or later";
  gpl3Plus = spdx "GPL-3.0-or-later" "GNU General Public License v3.0 or later";
  isc = spdx "ISC" "ISC License";
  lgpl3Plus = spdx "LGPL-3.0-or-later" "GNU Lesser General Public License v3.0 or later";
  mit = spdx "MIT" "MIT License";
  mpl20 = spdx "MPL-2.0" "Mozilla Public License 2.0";
  ncsa = spdx "NCSA" "University of Illinois/NCSA Open Source License";
  openssl = spdx "OpenSSL" "OpenSSL License";
  psfl = spdx "Python-2.0" "Python Software Foundation License version 2";
  publicDomain = name: license name "Public Domain";
  unfree = unfree "Unfree" false;
  unfreeRedistributable = unfree "Unfree redistributable" true;
  unfreeRedistributableFirmware = unfree "Unfree redistributable firmware" true;
}
// {
  nvidiaCuda = cuda false;
  nvidiaCudaRedist = cuda true;
}
