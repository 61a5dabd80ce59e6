#!/bin/sh
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Install Requorum from this folder into a virtual environment, with no network: ./install.sh [FOLDER]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-"$HOME/requorum"}
# Written by tools/airgap.py.
pythons="@PYTHONS@" built="@MACHINE@"
fail() {
    echo "install.sh: $1" >&2
    exit 1
}

cd "$here"
sha256sum --check --quiet SHA256SUMS || fail "the files above are not as they were packed; copy the archive anew"

python=
for name in python3 python3.14 python3.13 python3.12 python3.11; do
    command -v "$name" >/dev/null || continue
    version=$("$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    case " $pythons " in
    *" $version "*) python=$name && break ;;
    esac
done
[ -n "$python" ] || fail "no Python of $pythons is on the PATH; install one from the media of your distribution"
machine=$(uname -m)
[ "$machine" = "$built" ] || fail "this archive is for $built and not for $machine; make one there: make airgap"

if [ -e "$target" ] && [ ! -e "$target/pyvenv.cfg" ]; then
    fail "$target exists and is no virtual environment; name another folder"
fi
# pip comes from here too: Debian's Python has none without python3-venv.
"$python" -m venv --without-pip "$target"
"$target/bin/python" "$(echo "$here"/wheels/pip-*.whl)/pip" --isolated install --quiet --no-cache-dir --no-index \
    --disable-pip-version-check --upgrade --find-links "$here/wheels" 'requorum[s3]'
install -m 0644 "$here/ansible.cfg" "$target/ansible.cfg"

echo "Installed: $("$target/bin/requorum" --version), Python $version, in $target. Type in each new shell:"
echo
echo "    . $target/bin/activate && export ANSIBLE_CONFIG=$target/ansible.cfg"
echo "    ansible-playbook requorum.cluster.recover -i prod.yml --check"
echo
echo "README.md and docs/ beside this script say the rest; where they say recover.yml, requorum.cluster.recover is meant."
