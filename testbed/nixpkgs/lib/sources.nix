# Filters for source trees.
{ lib }:
rec {
  cleanSourceFilter =
    name: type:
    let
      base = baseNameOf (toString name);
    in
    !(
      base == ".git"
      ||
        type == "directory"
        && builtins.elem base [
          ".svn"
          "CVS"
          ".hg"
          ".jj"
          ".pijul"
          "_darcs"
        ]
      || lib.hasSuffix "~" base
      || builtins.match "^\\.sw[a-z]$" base != null
      || builtins.match "^\\..*\\.sw[a-z]$" base != null
      || lib.hasSuffix ".o" base
      || lib.hasSuffix ".so" base
      # The symlink that `nix-build` leaves behind.
      || type == "symlink" && lib.hasPrefix "result" base
      || type == "unknown"
    );

  cleanSource =
    src:
    cleanSourceWith {
      filter = cleanSourceFilter;
      inherit src;
    };

  # A filtered source can be filtered again without a second copy.
  cleanSourceWith =
    {
      filter ? _: _: true,
      src,
      name ? null,
    }:
    let
      orig =
        if src._isLibCleanSourceWith or false then
          src
        else
          {
            origSrc = src;
            filter = _: _: true;
            name = "source";
          };
      combined = path: type: filter path type && orig.filter path type;
    in
    {
      inherit (orig) origSrc;
      filter = combined;
      name = if name != null then name else orig.name;
      _isLibCleanSourceWith = true;
      outPath = builtins.path {
        name = if name != null then name else orig.name;
        path = orig.origSrc;
        filter = combined;
      };
    };
}
