"""Declares a network and a spot GPU machine on the cloud that the configuration names."""

import base64

import pulumi

config = pulumi.Config()
size = config.get("size")
data = config.get("userData") or "#cloud-config\n"
labels = {"purpose": config.get("purpose") or "test"}


def aws() -> None:
    import pulumi_aws as aws

    image = aws.ssm.get_parameter(
        name="/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
    )
    vpc = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16", tags=labels)
    subnet = aws.ec2.Subnet("net", vpc_id=vpc.id, cidr_block="10.0.0.0/24", map_public_ip_on_launch=True, tags=labels)
    group = aws.ec2.SecurityGroup(
        "node",
        vpc_id=vpc.id,
        ingress=[{"protocol": "tcp", "from_port": 443, "to_port": 443, "cidr_blocks": ["0.0.0.0/0"]}],
        tags=labels,
    )
    node = aws.ec2.Instance(
        "node",
        ami=image.value,
        instance_type=size or "g6.2xlarge",
        instance_market_options={
            "market_type": "spot",
            "spot_options": {"spot_instance_type": "one-time", "instance_interruption_behavior": "terminate"},
        },
        subnet_id=subnet.id,
        vpc_security_group_ids=[group.id],
        user_data_base64=pulumi.Output.secret(base64.b64encode(data.encode()).decode()),
        user_data_replace_on_change=True,
        root_block_device={"encrypted": True, "volume_size": 100},
        tags=labels,
    )
    pulumi.export("id", node.id)
    pulumi.export("address", node.public_ip)


def azure() -> None:
    from pulumi_azure_native import compute, network, resources

    group = resources.ResourceGroup("node", location="eastus", tags=labels)
    net = network.VirtualNetwork(
        "node", resource_group_name=group.name, address_space={"address_prefixes": ["10.0.0.0/16"]}, tags=labels
    )
    subnet = network.Subnet(
        "node", resource_group_name=group.name, virtual_network_name=net.name, address_prefix="10.0.0.0/24"
    )
    rules = network.NetworkSecurityGroup("node", resource_group_name=group.name, tags=labels)
    address = network.PublicIPAddress(
        "node",
        resource_group_name=group.name,
        sku={"name": network.PublicIPAddressSkuName.STANDARD},
        public_ip_allocation_method=network.IPAllocationMethod.STATIC,
        tags=labels,
    )
    interface = network.NetworkInterface(
        "node",
        resource_group_name=group.name,
        network_security_group={"id": rules.id},
        ip_configurations=[{"name": "first", "subnet": {"id": subnet.id}, "public_ip_address": {"id": address.id}}],
        tags=labels,
    )
    node = compute.VirtualMachine(
        "node",
        resource_group_name=group.name,
        priority=compute.VirtualMachinePriorityTypes.SPOT,
        eviction_policy=compute.VirtualMachineEvictionPolicyTypes.DELETE,
        billing_profile={"max_price": -1},
        hardware_profile={"vm_size": size or "Standard_NV36ads_A10_v5"},
        network_profile={"network_interfaces": [{"id": interface.id, "primary": True}]},
        os_profile={
            "computer_name": "node",
            "admin_username": "liftoff",
            "custom_data": pulumi.Output.secret(base64.b64encode(data.encode()).decode()),
            "linux_configuration": {
                "disable_password_authentication": True,
                "ssh": {
                    "public_keys": [{"key_data": "ssh-ed25519 AAAA", "path": "/home/liftoff/.ssh/authorized_keys"}]
                },
            },
        },
        storage_profile={
            "os_disk": {"create_option": "FromImage", "delete_option": "Delete"},
            "image_reference": {
                "publisher": "microsoft-dsvm",
                "offer": "ubuntu-hpc",
                "sku": "2204",
                "version": "latest",
            },
        },
        tags=labels,
        opts=pulumi.ResourceOptions(replace_on_changes=["osProfile.customData"], delete_before_replace=True),
    )
    pulumi.export("id", node.id)
    pulumi.export("address", address.ip_address)


def gcp() -> None:
    from pulumi_gcp import compute

    zone = "us-central1-a"
    net = compute.Network("net", auto_create_subnetworks=True)
    compute.Firewall(
        "https", network=net.id, allows=[{"protocol": "tcp", "ports": ["443"]}], source_ranges=["0.0.0.0/0"]
    )
    address = compute.Address("node", region="us-central1", labels=labels)
    node = compute.Instance(
        "node",
        zone=zone,
        machine_type=size or "g2-standard-8",
        boot_disk={
            "initialize_params": {
                "image": "deeplearning-platform-release/common-cu129-ubuntu-2204-nvidia-580",
                "size": config.get_int("diskSize") or 100,
            }
        },
        network_interfaces=[{"network": net.id, "access_configs": [{"nat_ip": address.address}]}],
        scheduling={
            "provisioning_model": "SPOT",
            "preemptible": True,
            "automatic_restart": False,
            "on_host_maintenance": "TERMINATE",
            "instance_termination_action": "DELETE",
        },
        metadata={"user-data": pulumi.Output.secret(data)},
        labels=labels,
    )
    pulumi.export("id", node.id)
    pulumi.export("address", node.network_interfaces[0].access_configs[0].nat_ip)


{"aws": aws, "azure-native": azure, "gcp": gcp}[config.require("cloud")]()
