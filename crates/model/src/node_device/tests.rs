//! What is written is what libvirt writes, to the byte, and is read again.

use super::*;
use ferrovirt_xml::UnknownPolicy;

fn comes_back(text: &str) -> NodeDevice {
    let device = ferrovirt_xml::from_str::<NodeDevice>("device", text, UnknownPolicy::Refuse)
        .unwrap()
        .value;
    assert_eq!(device.to_xml(), text);
    device
}

#[test]
fn a_pci_device_with_everything() {
    let device = comes_back(
        "<device>
  <name>pci_0000_07_00_0</name>
  <path>/sys/devices/pci0000:00/0000:00:16.0/0000:07:00.0</path>
  <parent>pci_0000_00_16_0</parent>
  <driver>
    <name>igb</name>
  </driver>
  <capability type='pci'>
    <class>0x020000</class>
    <domain>0</domain>
    <bus>7</bus>
    <slot>16</slot>
    <function>0</function>
    <product id='0x10c9'>82576 Gigabit &amp; more</product>
    <vendor id='0x8086'/>
    <capability type='phys_function'>
      <address domain='0x0000' bus='0x07' slot='0x00' function='0x0'/>
    </capability>
    <capability type='virt_functions' maxCount='7'>
      <address domain='0x0000' bus='0x07' slot='0x10' function='0x2'/>
    </capability>
    <capability type='virt_functions' maxCount='7'/>
    <capability type='pci-bridge'/>
    <capability type='mdev_types'>
      <type id='i915-GVTg_V5_4'>
        <name>small</name>
        <deviceAPI>vfio-pci</deviceAPI>
        <availableInstances>2</availableInstances>
      </type>
    </capability>
    <capability type='vpd'>
      <name>A card</name>
      <fields access='readonly'>
        <part_number>P1</part_number>
        <vendor_field index='0'>x</vendor_field>
      </fields>
    </capability>
    <iommuGroup number='19'>
      <address domain='0x0000' bus='0x07' slot='0x00' function='0x0'/>
    </iommuGroup>
    <numa node='1'/>
    <pci-express>
      <link validity='cap' port='0' speed='2.5' width='1'/>
      <link validity='sta' speed='2.5' width='1'/>
    </pci-express>
  </capability>
</device>
",
    );
    let Capability::Pci(pci) = device.capability else {
        panic!("not a PCI device")
    };
    assert_eq!((pci.class, pci.extra.len()), (Some(PciClass(0x20000)), 6));
}

#[test]
fn the_lesser_ones() {
    comes_back(
        "<device>
  <name>usb_1_3</name>
  <path>/sys/devices/usb1/1-3</path>
  <devnode type='dev'>/dev/bus/usb/001/002</devnode>
  <devnode type='link'>/dev/stick</devnode>
  <parent>usb_usb1</parent>
  <driver>
    <name>usb</name>
  </driver>
  <capability type='usb_device'>
    <bus>1</bus>
    <device>2</device>
    <product id='0x0001'>QEMU Tablet</product>
    <vendor id='0x0627'/>
  </capability>
</device>
",
    );
    comes_back(
        "<device>
  <name>net_lan1_52_54_00_00_01_00</name>
  <path>/sys/x</path>
  <parent>computer</parent>
  <capability type='net'>
    <interface>lan1</interface>
    <address>52:54:00:00:01:00</address>
    <link speed='1000' state='up'/>
    <feature name='rx'/>
    <feature name='tx'/>
    <capability type='80203'/>
  </capability>
</device>
",
    );
    comes_back(
        "<device>
  <name>block_sr0</name>
  <capability type='storage'>
    <block>/dev/sr0</block>
    <drive_type>cdrom</drive_type>
    <capability type='removable'>
      <media_available>0</media_available>
      <media_size>0</media_size>
    </capability>
  </capability>
</device>
",
    );
}
