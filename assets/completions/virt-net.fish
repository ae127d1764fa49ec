# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_virt_net_global_optspecs
    string join \n c/connect= replay= config= h/help V/version
end

function __fish_virt_net_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_virt_net_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_virt_net_using_subcommand
    set -l cmd (__fish_virt_net_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c virt-net -n "__fish_virt_net_needs_command" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_needs_command" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_needs_command" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-net -n "__fish_virt_net_needs_command" -s V -l version -d 'Print version'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "show" -d 'Print bridges, ports, NICs, networks, leases and NAT rules as they are now'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "switch" -d 'Plug a guest\'s NIC into another network, bridge or macvtap, with preview, proof and undo'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "network" -d 'Create, edit, start, stop, restart or delete a libvirt network; give a guest a static lease'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "switch-all" -d 'Plug every NIC of one network, bridge or link into another, all of them or none'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "bridge" -d 'Make a bridge over a NIC of the host, or change one: taken back unless confirmed in time'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "shim" -d 'Let the host and guests on its NIC\'s macvtaps talk with each other: a macvlan and a route to each guest'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "confirm" -d 'Keep the change of a bridge that waits for it'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "rollback" -d 'Take the change of a bridge that waits back, now'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "bridge-agent" -d 'Carries the change of a bridge out; started by `bridge`, not by hand'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "nic" -d 'Pull or plug a NIC\'s cable, add or remove a NIC, apply or discard a pending change'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "guest" -d 'Start, shut down, reboot, reset, pause or resume a guest, with a preview of what it means for its NICs'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "new" -d 'Make a guest on a network, bridge or macvtap by virt-install, its call shown first'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "console" -d 'Show a guest\'s serial console in this terminal; ends with the exit status of virsh'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "doctor" -d 'Say what is wrong with the guests\' network, why, and what mends it'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "path" -d 'Follow a packet from or to a guest\'s NIC through bridge, routing and firewall rules; sends nothing'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "probe" -d 'Ask for real, by ARP and ping, and compare with what is derived; only sends pings, changes nothing'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "capture" -d 'List the packets of a guest\'s NIC as they pass, and write them to a file for Wireshark'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "reach" -d 'Say who can reach whom, and why not; sends nothing'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "undo" -d 'Take the last change of a NIC or shim back; networks and bridges have commands of their own'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "dump" -d 'Write everything the program reads of this host as JSON, for bug reports and --replay'
complete -c virt-net -n "__fish_virt_net_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c virt-net -n "__fish_virt_net_using_subcommand show" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand show" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand show" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand show" -l json -d 'Print JSON: an object with one list per section'
complete -c virt-net -n "__fish_virt_net_using_subcommand show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-net -n "__fish_virt_net_using_subcommand switch" -l to -d 'Where to: network=NAME, bridge=NAME or macvtap=LINK[,mode=bridge|vepa|private|passthrough]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand switch" -l model -d 'Give the NIC this model as well (virtio, e1000, …)' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand switch" -l bounce -d 'Seconds the link stays down after a live switch so that the guest asks for an address, or "off"' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand switch" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand switch" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand switch" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand switch" -l next-boot -d 'Leave the running guest alone: only the next boot changes'
complete -c virt-net -n "__fish_virt_net_using_subcommand switch" -l restart -d 'Shut the guest down and start it, so that its next boot is now'
complete -c virt-net -n "__fish_virt_net_using_subcommand switch" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand switch" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand switch" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand switch" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -f -a "create" -d 'Make a network and start it, now and with the daemon'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -f -a "edit" -d 'Change a definition; a running network is restarted with every guest put back on it'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -f -a "delete" -d 'Stop it and forget it; refused while guests are plugged into it'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -f -a "start" -d 'Start it'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -f -a "stop" -d 'Stop it'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -f -a "restart" -d 'Stop it, start it and put every guest back on it'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -f -a "repair" -d 'Put taps of running guests back on its bridge, and lost firewall rules and its DHCP server, without a restart'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -f -a "lease" -d 'Let DHCP always give a guest the same address, or no longer, now and without a restart'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -f -a "clone" -d 'Make a network like one that is there, with a name, bridge and subnet of its own'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -f -a "autostart" -d 'Start it with the daemon, or no longer'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and not __fish_seen_subcommand_from create edit delete start stop restart repair lease clone autostart help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l mode -d 'How packets leave it' -r -f -a "nat\t'Masqueraded behind the host\'s address'
route\t'With the guests\' own addresses'
open\t'As route, without firewall rules'
isolated\t'Guests and the host only'
bridge\t'On a bridge that is there'
macvtap\t'Macvtaps on a pool of links'
sriov\t'Virtual functions of a card'"
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l bridge -d 'The bridge that is there (mode bridge); else the name for libvirt\'s own [default: the first free virbrN]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l subnet -d 'A subnet, with the host\'s address in it if not the first, or none [default: a free one]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l dhcp -d 'What DHCP hands out of the first subnet, or off [default: all that is free]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l forward-dev -d 'The only link to leave by; the links of a macvtap or SR-IOV pool' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l macvtap-mode -d 'How the macvtaps of a pool see each other: bridge, vepa, private or passthrough' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l nat-ports -d 'Ports that masquerading uses' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l mtu -d 'Bytes per packet' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l domain -d 'The DNS domain of its guests' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l host -d 'A static lease' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l dns-host -d 'Names that its DNS gives an address' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l portgroup -d 'A group of NICs with limits of their own, in KiB/s' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l inbound -d 'What all its guests together may get, in KiB/s, or off' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l outbound -d 'What all its guests together may send, in KiB/s, or off' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l forward-dev -d 'The only link its packets may leave by, or any' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l dhcp -d 'What DHCP hands out' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l nat-ports -d 'Ports that masquerading uses, or off for libvirt\'s choice' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l mtu -d 'Bytes per packet, or off for the kernel\'s choice' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l domain -d 'The DNS domain of its guests, or off' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l add-subnet -d 'Another subnet, IPv4 or IPv6, with the host\'s address in it if not the first' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l remove-subnet -d 'A subnet that goes' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l remove-host -d 'A static lease that goes' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l remove-dns-host -d 'An address whose names go' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l remove-portgroup -d 'A group of NICs that goes' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l host -d 'A static lease' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l dns-host -d 'Names that its DNS gives an address' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l portgroup -d 'A group of NICs with limits of their own, in KiB/s' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l inbound -d 'What all its guests together may get, in KiB/s, or off' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l outbound -d 'What all its guests together may send, in KiB/s, or off' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l xml -d 'The whole definition from a file, - for standard input' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from edit" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from delete" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from delete" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from delete" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from delete" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from delete" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from delete" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from start" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from start" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from start" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from start" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from start" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from start" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from stop" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from stop" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from stop" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from stop" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from stop" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from stop" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from restart" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from restart" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from restart" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from restart" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from restart" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from restart" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from restart" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from repair" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from repair" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from repair" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from repair" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from repair" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from repair" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from repair" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from lease" -l hostname -d 'The host name that DNS gives it [default: the one it has now]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from lease" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from lease" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from lease" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from lease" -l remove -d 'Its static lease goes'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from lease" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from lease" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from lease" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from lease" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from clone" -l bridge -d 'The name of its bridge [default: the first free virbrN]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from clone" -l subnet -d 'Its subnet, of the size that the other one has [default: a free one]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from clone" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from clone" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from clone" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from clone" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from clone" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from clone" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from clone" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from autostart" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from autostart" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from autostart" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from autostart" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from autostart" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from autostart" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from autostart" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "create" -d 'Make a network and start it, now and with the daemon'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "edit" -d 'Change a definition; a running network is restarted with every guest put back on it'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Stop it and forget it; refused while guests are plugged into it'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "start" -d 'Start it'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "stop" -d 'Stop it'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "restart" -d 'Stop it, start it and put every guest back on it'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "repair" -d 'Put taps of running guests back on its bridge, and lost firewall rules and its DHCP server, without a restart'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "lease" -d 'Let DHCP always give a guest the same address, or no longer, now and without a restart'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "clone" -d 'Make a network like one that is there, with a name, bridge and subnet of its own'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "autostart" -d 'Start it with the daemon, or no longer'
complete -c virt-net -n "__fish_virt_net_using_subcommand network; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c virt-net -n "__fish_virt_net_using_subcommand switch-all" -l from -d 'All NICs that are plugged in here: network=NAME, bridge=NAME or macvtap=LINK[,mode=…]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand switch-all" -l to -d 'Where to: network=NAME, bridge=NAME or macvtap=LINK[,mode=…]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand switch-all" -l vm -d 'Only those of this guest; may be given more than once' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand switch-all" -l bounce -d 'Seconds the links stay down after a live switch so that the guests ask for an address, or "off"' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand switch-all" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand switch-all" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand switch-all" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand switch-all" -l next-boot -d 'Leave the running guests alone: only their next boot changes'
complete -c virt-net -n "__fish_virt_net_using_subcommand switch-all" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand switch-all" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand switch-all" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand switch-all" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and not __fish_seen_subcommand_from create delete add-port remove-port help" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and not __fish_seen_subcommand_from create delete add-port remove-port help" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and not __fish_seen_subcommand_from create delete add-port remove-port help" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and not __fish_seen_subcommand_from create delete add-port remove-port help" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and not __fish_seen_subcommand_from create delete add-port remove-port help" -f -a "create" -d 'Make a bridge over a NIC; the NIC\'s addresses and routes move to it'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and not __fish_seen_subcommand_from create delete add-port remove-port help" -f -a "delete" -d 'Delete a bridge; its only port gets the addresses and routes back'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and not __fish_seen_subcommand_from create delete add-port remove-port help" -f -a "add-port" -d 'Make a link a port of a bridge'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and not __fish_seen_subcommand_from create delete add-port remove-port help" -f -a "remove-port" -d 'Free a port of a bridge'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and not __fish_seen_subcommand_from create delete add-port remove-port help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from create" -l port -d 'The NIC it is made over' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from create" -l address -d 'Where the bridge\'s address comes from: `move` takes over the NIC\'s, `dhcp` asks a server, an address with its prefix (10.0.0.88/24) replaces the NIC\'s' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from create" -l stp -d 'Spanning tree; with it nothing passes the port for 4 seconds' -r -f -a "on\t'On'
off\t'Off'"
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from create" -l persist -d 'Who writes it down for the next boot: whoever owns the NIC, nobody, or this one (networkmanager, netplan, networkd, ifupdown, ifcfg)' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from create" -l confirm -d 'Take it back by itself unless `virt-net confirm` comes within this time, in seconds' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from create" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from create" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from create" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from create" -l dry-run -d 'Show what would be done, and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from create" -l yes -d 'Do it without asking; it still has to be confirmed'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from create" -l json -d 'Print the plan as JSON'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from delete" -l persist -d 'Who writes it down for the next boot: whoever owns the NIC, nobody, or this one (networkmanager, netplan, networkd, ifupdown, ifcfg)' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from delete" -l confirm -d 'Take it back by itself unless `virt-net confirm` comes within this time, in seconds' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from delete" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from delete" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from delete" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from delete" -l dry-run -d 'Show what would be done, and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from delete" -l yes -d 'Do it without asking; it still has to be confirmed'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from delete" -l json -d 'Print the plan as JSON'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from add-port" -l persist -d 'Who writes it down for the next boot: whoever owns the NIC, nobody, or this one (networkmanager, netplan, networkd, ifupdown, ifcfg)' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from add-port" -l confirm -d 'Take it back by itself unless `virt-net confirm` comes within this time, in seconds' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from add-port" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from add-port" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from add-port" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from add-port" -l dry-run -d 'Show what would be done, and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from add-port" -l yes -d 'Do it without asking; it still has to be confirmed'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from add-port" -l json -d 'Print the plan as JSON'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from add-port" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from remove-port" -l persist -d 'Who writes it down for the next boot: whoever owns the NIC, nobody, or this one (networkmanager, netplan, networkd, ifupdown, ifcfg)' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from remove-port" -l confirm -d 'Take it back by itself unless `virt-net confirm` comes within this time, in seconds' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from remove-port" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from remove-port" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from remove-port" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from remove-port" -l dry-run -d 'Show what would be done, and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from remove-port" -l yes -d 'Do it without asking; it still has to be confirmed'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from remove-port" -l json -d 'Print the plan as JSON'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from remove-port" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from help" -f -a "create" -d 'Make a bridge over a NIC; the NIC\'s addresses and routes move to it'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete a bridge; its only port gets the addresses and routes back'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from help" -f -a "add-port" -d 'Make a link a port of a bridge'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from help" -f -a "remove-port" -d 'Free a port of a bridge'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and not __fish_seen_subcommand_from create delete help" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and not __fish_seen_subcommand_from create delete help" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and not __fish_seen_subcommand_from create delete help" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and not __fish_seen_subcommand_from create delete help" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and not __fish_seen_subcommand_from create delete help" -f -a "create" -d 'Let host and guests on a NIC\'s macvtaps talk; again: bring its routes up to date'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and not __fish_seen_subcommand_from create delete help" -f -a "delete" -d 'Delete a shim and what was written for the next boot'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and not __fish_seen_subcommand_from create delete help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from create" -l over -d 'The NIC below the guests\' macvtaps' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from create" -l address -d 'A spare address of the LAN for the host\'s end, one of each family at most; without one the host is seen by the NIC\'s own IPv4 address. Needed for IPv6, and where net.ipv4.conf.all.arp_ignore is 1' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from create" -l to -d 'A guest whose address is not known to virt-net; all known ones get their routes anyway' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from create" -l persist -d 'Who writes it down for the next boot: whoever owns the NIC, nobody, or this one (networkmanager, netplan, networkd, ifupdown, ifcfg)' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from create" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from create" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from create" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from create" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from create" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from create" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from delete" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from delete" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from delete" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from delete" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from delete" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from delete" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from help" -f -a "create" -d 'Let host and guests on a NIC\'s macvtaps talk; again: bring its routes up to date'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete a shim and what was written for the next boot'
complete -c virt-net -n "__fish_virt_net_using_subcommand shim; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c virt-net -n "__fish_virt_net_using_subcommand confirm" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand confirm" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand confirm" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand confirm" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand rollback" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand rollback" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand rollback" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand rollback" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge-agent" -l begun -d 'The change it is started for, in milliseconds since 1970; any if not given' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge-agent" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge-agent" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge-agent" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge-agent" -l take-lock -d 'The lock is not the standard input'
complete -c virt-net -n "__fish_virt_net_using_subcommand bridge-agent" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and not __fish_seen_subcommand_from up down add devices attach remove reseat apply discard help" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and not __fish_seen_subcommand_from up down add devices attach remove reseat apply discard help" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and not __fish_seen_subcommand_from up down add devices attach remove reseat apply discard help" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and not __fish_seen_subcommand_from up down add devices attach remove reseat apply discard help" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and not __fish_seen_subcommand_from up down add devices attach remove reseat apply discard help" -f -a "up" -d 'Plug the cable in (link state up)'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and not __fish_seen_subcommand_from up down add devices attach remove reseat apply discard help" -f -a "down" -d 'Pull the cable (link state down)'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and not __fish_seen_subcommand_from up down add devices attach remove reseat apply discard help" -f -a "add" -d 'Give a guest a new NIC'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and not __fish_seen_subcommand_from up down add devices attach remove reseat apply discard help" -f -a "devices" -d 'List the PCI NICs and VFs of the host, who has them, and what is missing to assign one'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and not __fish_seen_subcommand_from up down add devices attach remove reseat apply discard help" -f -a "attach" -d 'Assign a PCI NIC or VF of the host to a guest'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and not __fish_seen_subcommand_from up down add devices attach remove reseat apply discard help" -f -a "remove" -d 'Take a NIC away from a guest'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and not __fish_seen_subcommand_from up down add devices attach remove reseat apply discard help" -f -a "reseat" -d 'Put a tap that lost its bridge onto it again'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and not __fish_seen_subcommand_from up down add devices attach remove reseat apply discard help" -f -a "apply" -d 'Make the running guest\'s NIC what its next boot has'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and not __fish_seen_subcommand_from up down add devices attach remove reseat apply discard help" -f -a "discard" -d 'Make the next boot what the guest has now'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and not __fish_seen_subcommand_from up down add devices attach remove reseat apply discard help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from up" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from up" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from up" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from up" -l next-boot -d 'Leave the running guest alone: only the next boot changes'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from up" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from up" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from up" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from up" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from down" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from down" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from down" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from down" -l next-boot -d 'Leave the running guest alone: only the next boot changes'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from down" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from down" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from down" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from down" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from add" -l to -d 'Where to: network=NAME, bridge=NAME or macvtap=LINK[,mode=bridge|vepa|private|passthrough]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from add" -l model -d 'virtio, e1000, …' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from add" -l mac -d 'Its MAC address [default: one that no guest has]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from add" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from add" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from add" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from add" -l next-boot -d 'Leave the running guest alone: only the next boot has it'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from add" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from add" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from add" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from devices" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from devices" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from devices" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from devices" -l json -d 'Print JSON'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from devices" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from attach" -l device -d 'Which one: its PCI address, as `virt-net nic devices` lists it' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from attach" -l mac -d 'A VF\'s MAC address [default: one that no guest has]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from attach" -l vlan -d 'The VLAN that the card puts a VF\'s frames into' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from attach" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from attach" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from attach" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from attach" -l next-boot -d 'Leave the running guest alone: only the next boot has it'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from attach" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from attach" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from attach" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from attach" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from remove" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from remove" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from remove" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from remove" -l next-boot -d 'Leave the running guest alone: only the next boot changes'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from remove" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from remove" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from remove" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from reseat" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from reseat" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from reseat" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from reseat" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from reseat" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from reseat" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from reseat" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from apply" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from apply" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from apply" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from apply" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from apply" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from apply" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from apply" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from discard" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from discard" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from discard" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from discard" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from discard" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from discard" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from discard" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "up" -d 'Plug the cable in (link state up)'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "down" -d 'Pull the cable (link state down)'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "add" -d 'Give a guest a new NIC'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "devices" -d 'List the PCI NICs and VFs of the host, who has them, and what is missing to assign one'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "attach" -d 'Assign a PCI NIC or VF of the host to a guest'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Take a NIC away from a guest'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "reseat" -d 'Put a tap that lost its bridge onto it again'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "apply" -d 'Make the running guest\'s NIC what its next boot has'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "discard" -d 'Make the next boot what the guest has now'
complete -c virt-net -n "__fish_virt_net_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c virt-net -n "__fish_virt_net_using_subcommand guest" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand guest" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand guest" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand guest" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand guest" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand guest" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand guest" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l to -d 'Where its NIC is plugged in: network=NAME, bridge=NAME or macvtap=LINK[,mode=bridge|vepa|private|passthrough]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l model -d 'The NIC\'s model' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l memory -d 'Memory in MiB' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l vcpus -d 'Processors' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l disk -d 'A disk image that is there, or with --size where a new one is made; none for a guest without a disk' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l size -d 'GiB of a new disk [default without --disk: 20]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l iso -d 'Boot this installer' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l graphics -d 'VNC at this address of the host, or none for the serial console alone' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l virt-type -d 'kvm, qemu, … [default: virt-install\'s choice]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l os -d 'The system in it, as osinfo-query names it [default: guessed]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l pxe -d 'Boot an installer from the network [default]'
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l import -d 'Boot the system on its disk'
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l cloud-image -d 'Boot the cloud image on its disk, with a root password that virt-install tells'
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand new" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand console" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand console" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand console" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand console" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand doctor" -l fix -d 'Mend what this check finds, with preview and proof, one finding after the other' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand doctor" -l way -d 'Which of several ways to mend it, from 1' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand doctor" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand doctor" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand doctor" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand doctor" -l list -d 'Print the checks, and what each finds'
complete -c virt-net -n "__fish_virt_net_using_subcommand doctor" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand doctor" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand doctor" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-net -n "__fish_virt_net_using_subcommand path" -l to -d 'Where the guest sends [default: 198.51.100.1, which stands for the internet]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand path" -l from -d 'Who sends to the guest: the host\'s own address, another guest\'s, or one outside' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand path" -l tcp -d 'Follow a TCP connection to this port instead of a ping' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand path" -l udp -d 'Follow a UDP packet to this port instead of a ping' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand path" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand path" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand path" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand path" -l json -d 'Print JSON'
complete -c virt-net -n "__fish_virt_net_using_subcommand path" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand probe" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand probe" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand probe" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand probe" -l host-only -d 'Ask only from the host; nothing is run inside the guest'
complete -c virt-net -n "__fish_virt_net_using_subcommand probe" -l json -d 'Print JSON'
complete -c virt-net -n "__fish_virt_net_using_subcommand probe" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand capture" -l count -d 'End after so many packets' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand capture" -l seconds -d 'End after so many seconds' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand capture" -l only -d 'Only packets of these kinds; the kernel drops the others' -r -f -a "arp\t'Who has an address'
dhcp\t'Requests for an address and their answers (IPv4)'
icmp\t'Pings and errors, of IPv4 and IPv6'
tcp\t'TCP over IPv4 and IPv6'
udp\t'UDP over IPv4 and IPv6'
ip6\t'All of IPv6'"
complete -c virt-net -n "__fish_virt_net_using_subcommand capture" -l write -d 'Also write them to a file that tcpdump and Wireshark read' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand capture" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand capture" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand capture" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand capture" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c virt-net -n "__fish_virt_net_using_subcommand reach" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand reach" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand reach" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand reach" -l json -d 'Print JSON'
complete -c virt-net -n "__fish_virt_net_using_subcommand reach" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand undo" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand undo" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand undo" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand undo" -l dry-run -d 'Show what would be done and do nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand undo" -s y -l yes -d 'Do it without asking'
complete -c virt-net -n "__fish_virt_net_using_subcommand undo" -l json -d 'Print one JSON object with the plan, the steps and the outcome'
complete -c virt-net -n "__fish_virt_net_using_subcommand undo" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand dump" -l frames -d 'How many reads to record, one per second: with two or more, rates can be replayed' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand dump" -s c -l connect -d 'libvirt to talk to [default: `LIBVIRT_DEFAULT_URI`, else qemu:///system]' -r
complete -c virt-net -n "__fish_virt_net_using_subcommand dump" -l replay -d 'Show a recording that `virt-net dump` wrote instead of this host' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand dump" -l config -d 'Settings of the screen [default: ~/.config/virt-net/config.toml, else /etc/virt-net/config.toml]' -r -F
complete -c virt-net -n "__fish_virt_net_using_subcommand dump" -s h -l help -d 'Print help'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "show" -d 'Print bridges, ports, NICs, networks, leases and NAT rules as they are now'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "switch" -d 'Plug a guest\'s NIC into another network, bridge or macvtap, with preview, proof and undo'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "network" -d 'Create, edit, start, stop, restart or delete a libvirt network; give a guest a static lease'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "switch-all" -d 'Plug every NIC of one network, bridge or link into another, all of them or none'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "bridge" -d 'Make a bridge over a NIC of the host, or change one: taken back unless confirmed in time'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "shim" -d 'Let the host and guests on its NIC\'s macvtaps talk with each other: a macvlan and a route to each guest'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "confirm" -d 'Keep the change of a bridge that waits for it'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "rollback" -d 'Take the change of a bridge that waits back, now'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "bridge-agent" -d 'Carries the change of a bridge out; started by `bridge`, not by hand'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "nic" -d 'Pull or plug a NIC\'s cable, add or remove a NIC, apply or discard a pending change'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "guest" -d 'Start, shut down, reboot, reset, pause or resume a guest, with a preview of what it means for its NICs'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "new" -d 'Make a guest on a network, bridge or macvtap by virt-install, its call shown first'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "console" -d 'Show a guest\'s serial console in this terminal; ends with the exit status of virsh'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "doctor" -d 'Say what is wrong with the guests\' network, why, and what mends it'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "path" -d 'Follow a packet from or to a guest\'s NIC through bridge, routing and firewall rules; sends nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "probe" -d 'Ask for real, by ARP and ping, and compare with what is derived; only sends pings, changes nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "capture" -d 'List the packets of a guest\'s NIC as they pass, and write them to a file for Wireshark'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "reach" -d 'Say who can reach whom, and why not; sends nothing'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "undo" -d 'Take the last change of a NIC or shim back; networks and bridges have commands of their own'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "dump" -d 'Write everything the program reads of this host as JSON, for bug reports and --replay'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and not __fish_seen_subcommand_from show switch network switch-all bridge shim confirm rollback bridge-agent nic guest new console doctor path probe capture reach undo dump help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from network" -f -a "create" -d 'Make a network and start it, now and with the daemon'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from network" -f -a "edit" -d 'Change a definition; a running network is restarted with every guest put back on it'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from network" -f -a "delete" -d 'Stop it and forget it; refused while guests are plugged into it'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from network" -f -a "start" -d 'Start it'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from network" -f -a "stop" -d 'Stop it'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from network" -f -a "restart" -d 'Stop it, start it and put every guest back on it'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from network" -f -a "repair" -d 'Put taps of running guests back on its bridge, and lost firewall rules and its DHCP server, without a restart'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from network" -f -a "lease" -d 'Let DHCP always give a guest the same address, or no longer, now and without a restart'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from network" -f -a "clone" -d 'Make a network like one that is there, with a name, bridge and subnet of its own'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from network" -f -a "autostart" -d 'Start it with the daemon, or no longer'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from bridge" -f -a "create" -d 'Make a bridge over a NIC; the NIC\'s addresses and routes move to it'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from bridge" -f -a "delete" -d 'Delete a bridge; its only port gets the addresses and routes back'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from bridge" -f -a "add-port" -d 'Make a link a port of a bridge'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from bridge" -f -a "remove-port" -d 'Free a port of a bridge'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from shim" -f -a "create" -d 'Let host and guests on a NIC\'s macvtaps talk; again: bring its routes up to date'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from shim" -f -a "delete" -d 'Delete a shim and what was written for the next boot'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from nic" -f -a "up" -d 'Plug the cable in (link state up)'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from nic" -f -a "down" -d 'Pull the cable (link state down)'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from nic" -f -a "add" -d 'Give a guest a new NIC'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from nic" -f -a "devices" -d 'List the PCI NICs and VFs of the host, who has them, and what is missing to assign one'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from nic" -f -a "attach" -d 'Assign a PCI NIC or VF of the host to a guest'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from nic" -f -a "remove" -d 'Take a NIC away from a guest'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from nic" -f -a "reseat" -d 'Put a tap that lost its bridge onto it again'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from nic" -f -a "apply" -d 'Make the running guest\'s NIC what its next boot has'
complete -c virt-net -n "__fish_virt_net_using_subcommand help; and __fish_seen_subcommand_from nic" -f -a "discard" -d 'Make the next boot what the guest has now'
