#!/opt/none/bash #~ FH106
true
