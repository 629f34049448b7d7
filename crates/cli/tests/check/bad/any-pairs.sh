#!/bin/bash
VM_NAME=$1
VM_ACTION=$2/$3
case $VM_ACTION in
    prepare/begin)
        systemctl isolate multi-user.target
        virsh detach-device $VM_NAME /etc/usb.xml #~ FH401 FH502
        ;;
    started/end) #~ FH203
        renice -n -5 -p "$(pgrep qemu)"
        ;;
    release/begin) #~ FH203
        systemctl isolate graphical.target ;;
esac
