//! `<blkiotune>`: a guest's share of the host's block devices, and what it may do on each of them.

use ferrovirt_xml::{Rest, Xml, XmlError};

/// `<blkiotune>`: shares and limits of block I/O.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct BlkioTune {
    /// Its share beside others.
    pub weight: Option<u32>,
    /// What is different on single devices.
    #[xml(name = "device")]
    pub devices: Vec<BlkioDevice>,
    /// What was not understood.
    #[xml(rest)]
    pub rest: Rest,
}

/// `<blkiotune><device>`: shares and limits on one block device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct BlkioDevice {
    /// Its node in `/dev`.
    pub path: String,
    /// The share on it.
    pub weight: Option<u32>,
    /// Reads per second.
    pub read_iops_sec: Option<u32>,
    /// Writes per second.
    pub write_iops_sec: Option<u32>,
    /// Bytes read per second.
    pub read_bytes_sec: Option<u64>,
    /// Bytes written per second.
    pub write_bytes_sec: Option<u64>,
}

impl BlkioTune {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == BlkioTune::default()
    }

    /// Zero is no value, and a device without values is not there.
    pub(crate) fn normalize(&mut self) -> Result<(), XmlError> {
        self.weight.take_if(|weight| *weight == 0);
        self.devices.iter_mut().for_each(BlkioDevice::normalize);
        let mut paths: Vec<&str> = self.devices.iter().map(|device| device.path.as_str()).collect();
        paths.sort_unstable();
        if let Some(twice) = paths.windows(2).find(|pair| pair[0] == pair[1]) {
            let text = format!("duplicate blkio device path '{}'", twice[0]);
            return Err(XmlError::Unsupported(text));
        }
        self.devices.retain(|device| !device.is_empty());
        Ok(())
    }
}

impl BlkioDevice {
    /// A device without values.
    pub fn new(path: &str) -> BlkioDevice {
        BlkioDevice {
            path: path.to_owned(),
            ..BlkioDevice::default()
        }
    }

    /// Whether it says nothing about its device.
    pub fn is_empty(&self) -> bool {
        *self == BlkioDevice::new(&self.path)
    }

    fn normalize(&mut self) {
        for value in [
            &mut self.weight,
            &mut self.read_iops_sec,
            &mut self.write_iops_sec,
        ] {
            value.take_if(|value| *value == 0);
        }
        for value in [&mut self.read_bytes_sec, &mut self.write_bytes_sec] {
            value.take_if(|value| *value == 0);
        }
    }
}
