#!/bin/sh
# install.sh FOLDER: kustomize (built from source, needs go) and Prometheus (this machine's, else Debian's package,
# unpacked) in FOLDER/bin.
set -eu
folder=$1
mkdir -p "$folder/bin"
if [ ! -x "$folder/bin/kustomize" ]; then
  GOBIN=$folder/bin go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
fi
if [ ! -x "$folder/bin/prometheus" ]; then
  found=$(command -v prometheus) || {
    cd "$folder"
    # As root, where the list of packages may be missing; without the user that apt would fetch as.
    download() { apt-get -qq -o APT::Sandbox::User=root download prometheus; }
    download || { apt-get -qq update && download; }
    dpkg -x prometheus_*.deb prometheus
    rm prometheus_*.deb
    found=$folder/prometheus/usr/bin/prometheus
  }
  ln -sf "$found" "$folder/bin/prometheus"
fi
if [ ! -x "$folder/bin/promtool" ]; then
  ln -sf "$(dirname "$(readlink -f "$folder/bin/prometheus")")/promtool" "$folder/bin/promtool"
fi
