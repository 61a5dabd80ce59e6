#!/bin/sh
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Exit codes of `requorum inspect` as Nagios, Icinga and Checkmk want them.
# check_requorum.sh -i /etc/requorum/prod.yml --certificates --etcd --backups
out=$(timeout "${REQUORUM_TIMEOUT:-300}" requorum inspect "$@" 2>&1)
code=$?
printf '%s\n' "${out:-requorum said nothing, exit code $code}"
case $code in
  0) case ${out%%
*} in "OK: "*": "[0-9]*" warning"*) exit 1 ;; esac
    exit 0 ;;
  4) exit 2 ;;
  *) exit 3 ;;
esac
