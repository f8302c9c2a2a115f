# Run once by cloud-init. A failing entry of runcmd would be passed over in silence: the first one to fail ends this.
set -eu
systemctl daemon-reload
systemctl enable liftoff-boot.service
systemctl start --no-block liftoff-boot.service
