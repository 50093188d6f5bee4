# Package metadata: main programs, priorities, platforms.
{ lib }:
rec {
  addMetaAttrs = attrs: drv: drv // { meta = drv.meta or { } // attrs; };
  setPrio = priority: addMetaAttrs { inherit priority; };
  hiPrio = setPrio (-10);
  lowPrio = setPrio 10;

  # `elem` is a system string or part of an elaborated platform.
  platformMatch =
    platform: elem:
    if builtins.isString elem then
      platform.system == elem
    else
      lib.matchAttrs (if elem ? parsed then elem else { parsed = elem; }) platform;
  availableOn =
    platform: pkg:
    (!pkg ? meta.platforms || builtins.any (platformMatch platform) pkg.meta.platforms)
    && builtins.all (elem: !platformMatch platform elem) (pkg.meta.badPlatforms or [ ]);

  getExe =
    x:
    let
      guess = lib.warn "getExe: Package ${lib.strings.escapeNixIdentifier (x.meta.name or x.pname or x.name)} does not have the meta.mainProgram attribute. We'll assume that the main program has the same name for now, but this behavior is deprecated, because it leads to surprising errors when the assumption does not hold. If the package has a main program, please set `meta.mainProgram` in its definition to make this warning go away. Otherwise, if the package does not have a main program, or if you don't control its definition, use getExe' to specify the name to the program, such as lib.getExe' foo \"bar\"." (
        lib.getName x
      );
    in
    getExe' x (x.meta.mainProgram or guess);
  getExe' =
    x: y:
    assert lib.assertMsg (lib.isDerivation x)
      "lib.meta.getExe': The first argument is of type ${builtins.typeOf x}, but it should be a derivation instead.";
    assert lib.assertMsg (builtins.isString y)
      "lib.meta.getExe': The second argument is of type ${builtins.typeOf y}, but it should be a string instead.";
    assert lib.assertMsg (builtins.match ".*/.*" y == null)
      "lib.meta.getExe': The second argument \"${y}\" is a nested path with a \"/\" character, but it should just be the name of the executable instead.";
    "${lib.getBin x}/bin/${y}";
}
