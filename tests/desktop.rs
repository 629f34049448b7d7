//! What desktops have: displays, sound, input, character devices, cards. Guests that are started with them, and what QEMU
//! was told and made of it.

use ferrovirt_tests::{Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];

/// Starts a guest of these devices, and gives the arguments of its QEMU.
fn start(w: &World, name: &str, machine: &str, devices: &str) -> Vec<String> {
    let xml = Guest::new(name)
        .device(devices)
        .xml()
        .replace("<controller type='usb' model='none'/>", "")
        .replace("machine='pc'", &format!("machine='{machine}'"));
    let path = w.file(&format!("{name}.xml"), &xml);
    w.virsh_args(&["define", &path.display().to_string()]).ok();
    w.virsh(&format!("start {name}")).ok();
    let pid = w.qemu_pid(name).unwrap();
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let words = line.split(|byte| *byte == 0);
    words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// One of the arguments has all of these.
fn assert_told(args: &[String], parts: &[&str]) {
    let told = args.iter().any(|arg| parts.iter().all(|part| arg.contains(part)));
    assert!(told, "no argument with {parts:?} in {args:#?}");
}

#[test]
fn a_display_with_a_password_a_policy_and_a_port_for_browsers() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let args = start(
            w,
            "screen",
            "q35",
            "<graphics type='vnc' port='-1' websocket='-1' passwd='secret' passwdValidTo='2099-01-01T00:00:00' \
             sharePolicy='force-shared' powerControl='no' keymap='de'><listen type='address' address='127.0.0.1'/></graphics>\
             <video><model type='vga' vram='8192'><resolution x='1024' y='768'/></model></video>\
             <video><model type='virtio' heads='2'/></video>",
        );
        assert_told(
            &args,
            &[
                "127.0.0.1:",
                "websocket=",
                "share=force-shared",
                "password=on",
                "power-control=off",
            ],
        );
        assert_told(
            &args,
            &["\"VGA\"", "\"vgamem_mb\":8", "\"xres\":1024", "\"yres\":768"],
        );
        assert_told(&args, &["virtio-gpu-pci", "\"max_outputs\":2"]);
        let live = w.virsh("dumpxml screen").ok().to_owned();
        assert!(live.contains("websocket='57"), "{live}");
        assert!(
            !live.contains("secret") && live.contains("passwdValidTo='2099"),
            "{live}"
        );
        assert!(
            w.virsh("dumpxml screen --security-info")
                .ok()
                .contains("passwd='secret'")
        );
        assert!(
            w.virsh("dumpxml screen --inactive")
                .ok()
                .contains("websocket='-1'")
        );
        let port: u16 = {
            let at = live.find("websocket='").unwrap() + "websocket='".len();
            live[at..].split('\'').next().unwrap().parse().unwrap()
        };
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        w.virsh("destroy screen").ok();
    });
}

#[test]
fn sound_cards_input_devices_and_the_lesser_ones_are_there() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        let args = start(
            w,
            "desk",
            "q35",
            "<sound model='ich9'><codec type='micro'/><codec type='output'/><audio id='2'/></sound><sound model='usb'/>\
             <sound model='virtio' streams='3'/><sound model='pcspk'/>\
             <audio id='1' type='none'/><audio id='2' type='file' path='/run/world/out.wav'><output mixingEngine='yes' \
             fixedSettings='yes'><settings frequency='22050' channels='1' format='s16'/></output></audio>\
             <input type='tablet' bus='virtio'><driver packed='on'/></input><input type='mouse' bus='usb'/>\
             <rng model='virtio'><rate bytes='100' period='1000'/><backend model='builtin'/></rng>\
             <rng model='virtio'><backend model='egd' type='tcp'><source mode='bind' host='127.0.0.1' service='4711'/>\
             </backend></rng>\
             <shmem name='ferrovirt-desk'><model type='ivshmem-plain'/><size unit='M'>1</size></shmem>\
             <redirdev bus='usb' type='tcp'><source mode='bind' host='127.0.0.1' service='4712'/></redirdev>\
             <redirfilter><usbdev class='0x08' version='2.00' allow='yes'/><usbdev allow='no'/></redirfilter>\
             <smartcard mode='passthrough' type='unix'><source mode='bind' path='/run/world/card'/></smartcard>\
             <watchdog model='i6300esb' action='poweroff'/>",
        );
        assert_told(
            &args,
            &[
                "\"driver\":\"wav\"",
                "\"path\":\"/run/world/out.wav\"",
                "\"frequency\":22050",
            ],
        );
        assert_told(&args, &["hda-micro", "\"cad\":0", "\"audiodev\":\"audio2\""]);
        assert_told(&args, &["hda-output", "\"cad\":1"]);
        assert_told(&args, &["pcspk-audiodev=audio1"]);
        assert_told(&args, &["virtio-sound-pci", "\"streams\":3"]);
        assert_told(&args, &["virtio-tablet-pci", "\"packed\":true"]);
        assert_told(&args, &["ivshmem-plain", "shmmem-shmem0"]);
        assert_told(&args, &["usb-redir", "0x08:-1:-1:0x0200:1|-1:-1:-1:-1:0"]);
        assert_told(&args, &["ccid-card-passthru", "\"bus\":\"ccid0.0\""]);
        assert_eq!(
            std::fs::metadata("/dev/shm/ferrovirt-desk").unwrap().len(),
            1 << 20
        );
        assert!(std::path::Path::new("/run/world/card").exists());
        assert!(std::net::TcpStream::connect(("127.0.0.1", 4711)).is_ok());
        let live = w.virsh("dumpxml desk").ok().to_owned();
        for part in [
            "<alias name='sound0'/>",
            "<alias name='redir0'/>",
            "<alias name='smartcard0'/>",
            "slot='0x1b'",
        ] {
            assert!(live.contains(part), "no {part} in {live}");
        }
        w.virsh("destroy desk").ok();
        w.sh("rm -f /dev/shm/ferrovirt-desk");
    });
}

#[test]
fn character_devices_of_all_kinds_reach_the_host() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.sh("mkfifo /run/world/pipe.in /run/world/pipe.out");
        let args = start(
            w,
            "talk",
            "pc",
            "<serial type='udp'><source mode='bind' host='127.0.0.1' service='4801'/><source mode='connect' \
             host='127.0.0.1' service='4802'/></serial>\
             <serial type='pipe'><source path='/run/world/pipe'/></serial>\
             <serial type='tcp'><source mode='bind' host='127.0.0.1' service='4803'/><protocol type='telnet'/></serial>\
             <serial type='pty'><target type='isa-debug'/><address type='isa' iobase='0x402'/></serial>\
             <parallel type='null'/>\
             <channel type='qemu-vdagent'><source><clipboard copypaste='yes'/><mouse mode='client'/></source>\
             <target type='virtio' name='com.redhat.spice.0'/></channel>\
             <channel type='unix'><source mode='bind' path='/run/world/forward'/><target type='guestfwd' \
             address='10.0.2.1' port='4600'/></channel>\
             <channel type='unix'><source mode='connect' path='/run/world/later'><reconnect enabled='yes' timeout='1'/>\
             </source><target type='virtio' name='later'/></channel>\
             <console type='pty'><target type='virtio'/></console>",
        );
        assert_told(&args, &["udp,", "port=4802", "localport=4801"]);
        assert_told(&args, &["pipe,", "path=/run/world/pipe"]);
        assert_told(&args, &["telnet=on", "server=on"]);
        assert_told(&args, &["isa-debugcon", "\"iobase\":1026"]);
        assert_told(&args, &["qemu-vdagent", "clipboard=on", "mouse=on"]);
        assert_told(&args, &["guestfwd", "tcp:10.0.2.1:4600-chardev:charchannel1"]);
        assert_told(&args, &["path=/run/world/later,reconnect-ms=1000"]);
        assert!(std::net::TcpStream::connect(("127.0.0.1", 4803)).is_ok());
        w.virsh("destroy talk").ok();
    });
}

#[test]
fn cards_have_queues_offloads_and_networks_of_their_own() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        w.sh(
            "ip link add br7 type bridge && ip link set br7 up && ip tuntap add dev there7 mode tap vnet_hdr",
        );
        w.script("plug", "#!/bin/sh\necho \"$@\" > /run/world/plugged\n");
        let args = start(
            w,
            "cards",
            "pc",
            "<interface type='bridge'><source bridge='br7'/><port isolated='yes'/><model type='virtio'/>\
             <driver name='qemu' queues='2' rx_queue_size='512'><host gso='off'/><guest ufo='off'/></driver></interface>\
             <interface type='ethernet'><source><ip address='10.77.0.1' prefix='24'/></source><script path='/run/world/plug'/>\
             <target dev='own7'/><model type='e1000'/></interface>\
             <interface type='ethernet'><target dev='there7' managed='no'/><model type='virtio'/></interface>\
             <interface type='user'><ip address='10.9.0.0' prefix='16'/><model type='virtio'/><driver ats='on'/></interface>\
             <interface type='udp'><source address='127.0.0.1' port='4900'><local address='127.0.0.1' port='4901'/></source>\
             </interface>",
        );
        assert_told(&args, &["\"fds\":\"", "\"type\":\"tap\""]);
        assert_told(
            &args,
            &[
                "\"mq\":true",
                "\"vectors\":6",
                "\"gso\":false",
                "\"guest_ufo\":false",
                "\"rx_queue_size\":512",
            ],
        );
        assert_told(&args, &["\"net\":\"10.9.0.0/16\""]);
        assert_told(&args, &["\"ats\":true"]);
        assert_told(
            &args,
            &["\"udp\":\"127.0.0.1:4900\"", "\"localaddr\":\"127.0.0.1:4901\""],
        );
        assert_eq!(w.sh("cat /sys/class/net/vnet0/brport/isolated").trim(), "1");
        let pid = w.qemu_pid("cards").unwrap();
        let queues = w.sh(&format!("grep -l 'iff:.*vnet0' /proc/{pid}/fdinfo/*"));
        assert_eq!(queues.lines().count(), 2, "{queues}");
        assert!(w.sh("ip address show dev own7").contains("10.77.0.1/24"));
        assert_eq!(w.read("/run/world/plugged").trim(), "own7");
        w.virsh("destroy cards").ok();
        assert!(!w.link_exists("own7") && w.link_exists("there7"));
        w.sh("ip link delete br7; ip link delete there7");
    });
}

#[test]
fn what_has_no_effect_is_refused_by_name() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        for (device, words) in [
            ("<graphics type='spice'/>", "spice"),
            ("<graphics type='vnc' display=':0'/>", "display"),
            ("<sound model='ac97' streams='2'/>", "streams"),
            (
                "<audio id='1' type='alsa'><input bufferCount='2'/></audio>",
                "bufferCount",
            ),
            (
                "<serial type='tcp'><source host='h' service='1' tls='yes'/></serial>",
                "tls",
            ),
            (
                "<interface type='user'><bandwidth><inbound average='1'/></bandwidth></interface>",
                "bandwidth",
            ),
            (
                "<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>",
                "vdpa",
            ),
        ] {
            let path = w.file("refused.xml", &Guest::new("refused").device(device).xml());
            let answer = w.virsh_args(&["define", &path.display().to_string()]);
            answer.fails_with(&[words]);
        }
    });
}
