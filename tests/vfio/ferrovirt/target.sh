# ferrovirtd, as the recorder in the host starts it; its programs are laid beside this file (test-vfio).
T_START=("$T_DIR/ferrovirtd")
