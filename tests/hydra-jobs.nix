# The jobs for Hydra: the portable packages, the checks, and each host's variant.
{ self }:
{
  inherit (self) packages checks;

  hosts = builtins.mapAttrs (
    _name: host: host.config.programs.llama-cpp.package
  ) self.nixosConfigurations;
}
