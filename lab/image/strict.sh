#!/bin/sh
# As strict as a Harvester host: no root login, no passwords, no sftp, no tunnels, umask 0027.
set -eu
sed -i '/^Subsystem/d' /etc/ssh/sshd_config
cat >/etc/ssh/sshd_config.d/10-strict.conf <<'EOF'
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowTcpForwarding no
AllowUsers rancher
MaxAuthTries 3
EOF
sed -i -e 's/^UMASK.*/UMASK 027/' -e 's/^USERGROUPS_ENAB.*/USERGROUPS_ENAB no/' /etc/login.defs
sed -i 's/pam_umask.so.*/pam_umask.so umask=0027 nousergroups/' /etc/pam.d/common-session /etc/pam.d/common-session-noninteractive
grep -q 'pam_umask.so umask=0027' /etc/pam.d/common-session ||
    printf 'session optional pam_umask.so umask=0027 nousergroups\n' >>/etc/pam.d/common-session
