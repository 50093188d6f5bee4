# The licences that the stand-in's packages carry. `free` defaults to true.
{ lib }:
let
  named =
    shortName:
    {
      spdxId ? null,
      fullName ? shortName,
      free ? true,
      redistributable ? free,
      url ? null,
    }:
    {
      inherit
        shortName
        fullName
        free
        redistributable
        ;
      deprecated = false;
    }
    // lib.optionalAttrs (spdxId != null) {
      inherit spdxId;
      url = "https://spdx.org/licenses/${spdxId}.html";
    }
    // lib.optionalAttrs (url != null) { inherit url; };
in
lib.mapAttrs named {
  asl20 = {
    spdxId = "Apache-2.0";
    fullName = "Apache License 2.0";
  };
  bsd2 = {
    spdxId = "BSD-2-Clause";
    fullName = ''BSD 2-clause "Simplified" License'';
  };
  bsd3 = {
    spdxId = "BSD-3-Clause";
    fullName = ''BSD 3-clause "New" or "Revised" License'';
  };
  boost = {
    spdxId = "BSL-1.0";
    fullName = "Boost Software License 1.0";
  };
  curl = {
    spdxId = "curl";
    fullName = "curl License";
  };
  gpl2Only = {
    spdxId = "GPL-2.0-only";
    fullName = "GNU General Public License v2.0 only";
  };
  gpl2Plus = {
    spdxId = "GPL-2.0-or-later";
    fullName = "GNU General Public License v2.0 or later";
  };
  gpl3Plus = {
    spdxId = "GPL-3.0-or-later";
    fullName = "GNU General Public License v3.0 or later";
  };
  lgpl3Plus = {
    spdxId = "LGPL-3.0-or-later";
    fullName = "GNU Lesser General Public License v3.0 or later";
  };
  isc = {
    spdxId = "ISC";
    fullName = "ISC License";
  };
  mit = {
    spdxId = "MIT";
    fullName = "MIT License";
  };
  mpl20 = {
    spdxId = "MPL-2.0";
    fullName = "Mozilla Public License 2.0";
  };
  ncsa = {
    spdxId = "NCSA";
    fullName = "University of Illinois/NCSA Open Source License";
  };
  openssl = {
    spdxId = "OpenSSL";
    fullName = "OpenSSL License";
  };
  publicDomain.fullName = "Public Domain";
  psfl = {
    spdxId = "Python-2.0";
    fullName = "Python Software Foundation License version 2";
  };
  unfree = {
    fullName = "Unfree";
    free = false;
  };
  unfreeRedistributable = {
    fullName = "Unfree redistributable";
    free = false;
    redistributable = true;
  };
  unfreeRedistributableFirmware = {
    fullName = "Unfree redistributable firmware";
    free = false;
    redistributable = true;
  };
}
// {
  # Nixpkgs spells this one with a space, which an attribute name cannot carry.
  nvidiaCuda = named "CUDA EULA" {
    fullName = "CUDA Toolkit End User License Agreement (EULA)";
    url = "https://docs.nvidia.com/cuda/eula/index.html#cuda-toolkit-supplement-license-agreement";
    free = false;
  };
  nvidiaCudaRedist = named "CUDA EULA" {
    fullName = "CUDA Toolkit End User License Agreement (EULA)";
    url = "https://docs.nvidia.com/cuda/eula/index.html#cuda-toolkit-supplement-license-agreement";
    free = false;
    redistributable = true;
  };
}
