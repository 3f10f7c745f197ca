# Not tried. Written from the Python section of nixpkgs' manual.
{
  lib,
  python3Packages,
  addDriverRunpath,
  installShellFiles,
  withExtras ? true,
}:

python3Packages.buildPythonApplication {
  pname = "gpumon";
  version = "0.1.0";
  pyproject = true;

  src = ../..;

  build-system = [ python3Packages.hatchling ];

  dependencies =
    with python3Packages;
    [
      textual
      httpx
      sniffio
      nvidia-ml-py
      psutil
      plotext
      msgspec
      platformdirs
      rich
      shtab
    ]
    ++ lib.optionals withExtras [
      uvicorn
      prometheus-client
      textual-serve
      zstandard
    ];

  nativeBuildInputs = [ installShellFiles ];

  # The driver's library is no part of the store: NixOS puts it here.
  makeWrapperArgs = [ "--prefix LD_LIBRARY_PATH : ${addDriverRunpath.driverLink}/lib" ];

  postInstall = ''
    export HOME=$TMPDIR
    for shell in bash zsh; do
      PYTHONPATH=$out/${python3Packages.python.sitePackages}:$PYTHONPATH \
        ${python3Packages.python.interpreter} -m gpumon.app completion $shell > gpumon.$shell
    done
    installShellCompletion --cmd gpumon --bash gpumon.bash --zsh gpumon.zsh
  '';

  pythonImportsCheck = [ "gpumon.app.cli.main" ];

  meta = {
    description = "Dashboard for language models on your own GPUs";
    license = lib.licenses.mit;
    mainProgram = "gpumon";
    platforms = lib.platforms.linux;
  };
}
