#!/bin/sh
# Runs inside the new root: the administrator's account and what a container has no use for.
set -eu
useradd --create-home --shell /bin/bash rancher
install -d -m 0700 -o rancher -g rancher /home/rancher/.ssh
printf 'rancher ALL=(ALL) NOPASSWD:ALL\n' >/etc/sudoers.d/rancher
chmod 0440 /etc/sudoers.d/rancher

# Every host gets keys of its own when it is made.
rm -f /etc/ssh/ssh_host_*
rm -f /etc/machine-id /var/lib/dbus/machine-id
: >/etc/machine-id

mkdir -p /etc/ssh/sshd_config.d /etc/systemd/journald.conf.d
# Reverse look-ups of the controller would cost seconds where there is no name server.
printf 'UseDNS no\n' >/etc/ssh/sshd_config.d/50-lab.conf
# No rate limit: a test must not miss a line.
printf '[Journal]\nRateLimitIntervalSec=0\nForwardToConsole=no\n' >/etc/systemd/journald.conf.d/lab.conf

systemctl mask \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer getty.target console-getty.service systemd-udevd.service systemd-udevd-control.socket \
    systemd-udevd-kernel.socket systemd-udev-trigger.service systemd-networkd-wait-online.service \
    systemd-timesyncd.service systemd-logind.service systemd-modules-load.service systemd-sysctl.service \
    proc-sys-fs-binfmt_misc.automount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount
systemctl set-default multi-user.target
systemctl enable ssh.service
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
