# What a Hydra builds: the portable packages, and what each host runs.
{ self }:
{
  inherit (self) packages checks;

  hosts = builtins.mapAttrs (
    _name: host: host.config.programs.llama-cpp.package
  ) self.nixosConfigurations;
}
