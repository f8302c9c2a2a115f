# Run once by cloud-init. A failing entry of runcmd would be passed over in silence: the first one to fail ends this.
set -eu
# Where nginx is installed, Debian starts it with pages of its own.
systemctl mask --now nginx.service
systemctl daemon-reload
systemctl enable liftoff-boot.service
systemctl start --no-block liftoff-boot.service
