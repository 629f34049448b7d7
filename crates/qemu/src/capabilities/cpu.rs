//! What a CPU model becomes on this machine: the features the accelerator adds or lacks, for `check='full'`.

use ferrovirt_model::domain::{CpuFeature, FeaturePolicy};

use super::Emulator;

/// Models whose definition QEMU widened after the name was settled: they have these beside what the name says.
const BEYOND_NAME: &[(&str, &[&str])] = &[
    ("qemu64", &["lahf_lm"]),
    ("core2duo", &["cx16", "acpi", "ss", "lahf_lm"]),
    ("pentium3", &["apic"]),
    ("SandyBridge-v1", &["arat", "xsaveopt"]),
    ("Haswell-v1", &["f16c", "rdrand", "arat", "xsaveopt", "abm"]),
    ("EPYC-v1", &["monitor", "npt"]),
    ("Skylake-Server-v1", &["clflushopt", "pku"]),
    ("Denverton-v1", &["monitor"]),
];

/// Features in the order of their CPUID bits, which is the order libvirt lists them in.
const ORDER: &str = "pni pclmulqdq dtes64 monitor ds-cpl vmx smx est tm2 ssse3 cid fma cx16 xtpr pdcm pcid dca sse4.1 \
    sse4.2 x2apic movbe popcnt tsc-deadline aes xsave osxsave avx f16c rdrand hypervisor \
    fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 pn clflush ds acpi mmx fxsr sse sse2 ss ht \
    tm ia64 pbe arat fsgsbase tsc_adjust sgx bmi1 hle avx2 fdp-excptn-only smep bmi2 erms invpcid rtm cmt \
    zero-fcs-fds mpx rdt-a avx512f avx512dq rdseed adx smap avx512ifma pcommit clflushopt clwb intel-pt avx512pf \
    avx512er avx512cd sha-ni avx512bw avx512vl prefetchwt1 avx512vbmi umip pku ospke waitpkg avx512vbmi2 gfni vaes \
    vpclmulqdq avx512vnni avx512bitalg avx512-vpopcntdq la57 rdpid bus-lock-detect cldemote movdiri movdir64b \
    sgxlc pks avx512-4vnniw avx512-4fmaps fsrm avx512-vp2intersect md-clear serialize tsx-ldtrk arch-lbr amx-bf16 \
    avx512-fp16 amx-tile amx-int8 spec-ctrl stibp flush-l1d arch-capabilities core-capability ssbd avx-vnni \
    avx512-bf16 fzrm fsrs fsrc amx-fp16 avx-ifma xsaveopt xsavec xgetbv1 xsaves xfd lahf_lm cmp_legacy svm extapic \
    cr8legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt lwp fma4 tce nodeid_msr tbm topoext \
    perfctr_core perfctr_nb syscall nx mmxext fxsr_opt pdpe1gb rdtscp lm 3dnowext 3dnow invtsc clzero xsaveerptr \
    wbnoinvd ibpb amd-stibp amd-ssbd virt-ssbd amd-no-ssb npt lbrv svm-lock nrip-save tsc-scale vmcb-clean \
    flushbyasid decodeassists pause-filter pfthreshold avic v-vmsave-vmload vgif";

fn rank(name: &str) -> usize {
    // Names behind the list keep their order: CPUID first, then the registers that came later.
    ORDER
        .split_whitespace()
        .position(|known| known == name)
        .unwrap_or(usize::MAX)
}

/// libvirt's name for QEMU's name of a feature.
pub(super) fn libvirt_name(name: &str) -> String {
    match name {
        "lahf-lm" | "cmp-legacy" | "fxsr-opt" | "tsc-adjust" | "nodeid-msr" | "perfctr-core"
        | "perfctr-nb" => name.replace('-', "_"),
        "sse4-1" | "sse4_1" => "sse4.1".to_owned(),
        "sse4-2" | "sse4_2" => "sse4.2".to_owned(),
        "sse3" => "pni".to_owned(),
        other => other.to_owned(),
    }
}

/// The features of `model` on this emulator that its name does not say, beside those in `asked`, which the
/// document names already.
#[must_use]
pub fn expand(emulator: &Emulator, kvm: bool, model: &str, asked: &[CpuFeature]) -> Vec<CpuFeature> {
    let known = emulator.cpus(kvm).iter().find(|cpu| cpu.name == model);
    let missing = known.and_then(|cpu| cpu.missing.as_deref()).unwrap_or_default();
    let beyond = BEYOND_NAME
        .iter()
        .find(|(name, _)| *name == model)
        .map_or(&[][..], |(_, features)| *features);
    let mut features: Vec<CpuFeature> = Vec::new();
    let mut add = |name: String, policy| {
        let there = |feature: &CpuFeature| feature.name == name;
        if !asked.iter().any(there) && !features.iter().any(there) {
            features.push(CpuFeature {
                policy: Some(policy),
                name,
            });
        }
    };
    for name in missing {
        add(libvirt_name(name), FeaturePolicy::Disable);
    }
    // Every accelerator tells the guest that it is one.
    for name in std::iter::once(&"hypervisor").chain(beyond) {
        add((*name).to_owned(), FeaturePolicy::Require);
    }
    features.sort_by_key(|feature| rank(&feature.name));
    features
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_model() {
        let emulator = crate::testing::emulator();
        let names: Vec<_> = expand(&emulator, false, "qemu64", &[])
            .into_iter()
            .map(|f| f.name)
            .collect();
        assert_eq!(names, ["hypervisor", "lahf_lm"]);
    }

    #[test]
    fn what_is_missing_is_disabled_in_libvirts_order() {
        let mut emulator = crate::testing::emulator();
        emulator.cpus_tcg[0].missing = Some(["vme", "pcid", "tsc-deadline"].map(str::to_owned).to_vec());
        let features = expand(&emulator, false, "qemu64", &[]);
        let names: Vec<_> = features.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["pcid", "tsc-deadline", "hypervisor", "vme", "lahf_lm"]);
        assert_eq!(features[0].policy, Some(FeaturePolicy::Disable));
        let asked = [features[0].clone()];
        assert_eq!(expand(&emulator, false, "qemu64", &asked).len(), 4);
    }
}
