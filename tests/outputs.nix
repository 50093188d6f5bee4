# The flake's standard outputs: packages, apps, dev shell, formatter, checks.
{ flake, lib, ... }:
let
  systems = [
    "aarch64-linux"
    "x86_64-linux"
  ];
  onEach = f: map f systems;
  onAll = f: lib.all f systems;
  # The path of a derivation, as a string without context, so that nothing is built.
  isDerivation = package: lib.hasSuffix ".drv" (builtins.unsafeDiscardStringContext package.drvPath);
in
{
  "the systems are the same everywhere" = {
    expr = map lib.attrNames [
      flake.apps
      flake.checks
      flake.devShells
      flake.formatter
      flake.packages
    ];
    expected = lib.genList (_: systems) 5;
  };
  "the dev shell and the formatter evaluate" = {
    expr = onAll (
      system: isDerivation flake.devShells.${system}.default && isDerivation flake.formatter.${system}
    );
    expected = true;
  };
  "the app is the package" = {
    expr = onAll (
      system: flake.apps.${system}.xtask.program == lib.getExe flake.packages.${system}.xtask
    );
    expected = true;
  };
  "ROCm is on x86_64 only" = {
    expr = onEach (system: flake.packages.${system} ? llama-cpp-rocm);
    expected = [
      false
      true
    ];
  };
  "every host of the system is a check" = {
    expr = onEach (system: lib.filter (lib.hasPrefix "host-") (lib.attrNames flake.checks.${system}));
    expected = [
      [ ]
      (map (name: "host-${name}") (lib.attrNames flake.fleet))
    ];
  };
  "every package's tests are derivations" = {
    expr = onAll (
      system:
      lib.all (package: lib.all isDerivation (lib.attrValues package.tests)) (
        lib.attrValues flake.packages.${system}
      )
    );
    expected = true;
  };
  "the tests in virtual machines evaluate" = {
    expr = onAll (system: isDerivation flake.legacyPackages.${system}.nixosTests.server);
    expected = true;
  };
}
