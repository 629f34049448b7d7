# ferrovirtd, as the recorder of the passthrough host starts it; its programs lie beside this file.
T_START=("$T_DIR/ferrovirtd")
