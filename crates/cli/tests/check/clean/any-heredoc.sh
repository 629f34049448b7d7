#!/bin/bash
guest=$1
if [ "$2" = started ]; then
    mail -s "guest started" root <<EOF
The guest $guest was started on $(hostname).
Its home is ${HOME:-/root}.
EOF
    cat > "/run/guests/$guest.conf" <<-'END'
	$literal stays $literal
	END
fi
