# Returns a package that no host selects, for bench and demo; fleet/queries.rs applies it to
# `legacyPackages.<system>`. `choose` selects the package.
choose: pkgs:
let
  package = choose pkgs;
in
{
  inherit (package) drvPath;
  output = package.outPath;
  manifest =
    package.llamaCpp or {
      # Upstream's package has no manifest, and is built for the baseline CPU.
      variant = package.pname or package.name;
      backends = [ "cpu" ];
      microarch = "x86-64";
      inherit (pkgs.stdenv.hostPlatform) system;
      cmakeFlags = map toString (package.cmakeFlags or [ ]);
      rev = null;
      build = null;
    };
}
