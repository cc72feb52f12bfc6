# shellcheck shell=bash
# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# The environment that the tools of a clone run in. Source it from bash:
#     source tests/hosts/env.sh

LOGWARD_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export LOGWARD_ROOT

case ":$PATH:" in
    *":$LOGWARD_ROOT/.venv/bin:"*) ;;
    *) export PATH="$LOGWARD_ROOT/.venv/bin:$PATH" ;;
esac
export ANSIBLE_CONFIG="$LOGWARD_ROOT/ansible.cfg"
# The Debian release of the test hosts, and their image, named by a hash of its
# recipe. molecule.yml files name it.
export LOGWARD_SUITE=${LOGWARD_SUITE:-bookworm}
LOGWARD_IMAGE=$("$LOGWARD_ROOT/tests/hosts/build" --name "host/$LOGWARD_SUITE")
export LOGWARD_IMAGE
# What the user has in ~/.ansible is not part of a test; and Molecule keeps there
# which hosts there are.
export ANSIBLE_HOME="$LOGWARD_ROOT/.cache/ansible/$LOGWARD_SUITE"
# The path of a socket may not be long, that of a clone may.
export ANSIBLE_SSH_CONTROL_PATH_DIR="$HOME/.ansible/cp"
export ANSIBLE_COLLECTIONS_PATH="$LOGWARD_ROOT"
export MOLECULE_GLOB='molecule/*/molecule.yml'
export MOLECULE_COMMAND_BORDERS=false
# Molecule would force colours into files, too.
[[ -t 1 ]] || export NO_COLOR=1 ANSIBLE_FORCE_COLOR=false ANSIBLE_NOCOLOR=true

# Hosts that refuse podman's defaults: hybrid cgroups, no CAP_SYS_RESOURCE.
_logward_needs_containers_conf() {
    [[ $(stat --file-system --format=%T /sys/fs/cgroup) == cgroup2fs ]] \
        || return 0
    local bounding_set cap_sys_resource=24
    bounding_set=$(awk '$1 == "CapBnd:" { print $2 }' /proc/self/status)
    (( (0x$bounding_set >> cap_sys_resource & 1) == 0 ))
}

if [[ -z ${CONTAINERS_CONF:-} ]] && _logward_needs_containers_conf; then
    export CONTAINERS_CONF="$LOGWARD_ROOT/tests/hosts/containers.conf"
fi
