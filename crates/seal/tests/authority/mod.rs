//! A time-stamping authority of one's own, made and run by `openssl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    Rsa,
    P256,
    P384,
}

impl Keys {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Keys::Rsa => &["-newkey", "rsa:2048"],
            Keys::P256 => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
            Keys::P384 => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"],
        }
    }
}

/// What the authority's certificate is like.
pub struct Options {
    pub keys: Keys,
    /// Lines of an extension section of openssl's.
    pub usage: &'static str,
    /// Not before and not after, as `openssl ca` takes them.
    pub valid: (&'static str, &'static str),
    /// Whether another certificate stands between it and the root.
    pub between: bool,
    /// Digest of the signature, and of the certificate's name in the token.
    pub digest: &'static str,
    pub names_by: &'static str,
}

pub const STAMPS: &str = "extendedKeyUsage=critical,timeStamping";

impl Default for Options {
    fn default() -> Self {
        Options {
            keys: Keys::P256,
            usage: STAMPS,
            valid: ("20200101000000Z", "20990101000000Z"),
            between: false,
            digest: "sha256",
            names_by: "sha256",
        }
    }
}

/// An authority in a folder.
pub struct Authority {
    pub folder: PathBuf,
}

/// Runs openssl; it is one of the packages that `./dev test` asks for.
pub fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("openssl is installed (Debian: openssl)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {said}");
}

impl Authority {
    pub fn new(folder: &Path, options: &Options) -> Authority {
        fs::create_dir_all(folder).unwrap();
        let authority = Authority {
            folder: folder.to_owned(),
        };
        let config = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\n\
                      policy=p\nunique_subject=no\n[p]\ncommonName=supplied\n\
                      [ca_ext]\nbasicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n";
        let usage = format!("[tsa_ext]\nbasicConstraints=CA:FALSE\n{}\n", options.usage);
        authority.write(
            "ca.cnf",
            &format!("{config}{usage}[req]\ndistinguished_name=r\n[r]\n"),
        );
        authority.write("index.txt", "");
        authority.write("serial", "1000\n");
        let mut root = vec![
            "req", "-new", "-x509", "-nodes", "-days", "20000", "-config", "ca.cnf",
        ];
        root.extend_from_slice(&[
            "-extensions",
            "ca_ext",
            "-subj",
            "/CN=Root",
            "-keyout",
            "root.key",
        ]);
        root.extend_from_slice(&["-out", "root.pem"]);
        root.extend_from_slice(options.keys.arguments());
        openssl(folder, &root);
        let always = ("20200101000000Z", "20990101000000Z");
        if options.between {
            authority.issue("between", "root", "ca_ext", options.keys, always);
            authority.issue("tsa", "between", "tsa_ext", options.keys, options.valid);
        } else {
            authority.issue("tsa", "root", "tsa_ext", options.keys, options.valid);
        }
        let chain = if options.between {
            "certs=between.pem\n"
        } else {
            ""
        };
        authority.write(
            "ts.cnf",
            &format!(
                "[tsa]\ndefault_tsa=t\n[t]\nserial=ts.serial\nsigner_cert=tsa.pem\n{chain}signer_key=tsa.key\n\
                 signer_digest={}\ndefault_policy=1.2.3.4.1\ndigests=sha256,sha512\naccuracy=secs:1,millisecs:500\n\
                 ess_cert_id_chain=no\ness_cert_id_alg={}\n",
                options.digest, options.names_by
            ),
        );
        authority.write("ts.serial", "01\n");
        authority
    }

    fn issue(&self, name: &str, by: &str, section: &str, keys: Keys, valid: (&str, &str)) {
        let (key, request, out) = (
            format!("{name}.key"),
            format!("{name}.csr"),
            format!("{name}.pem"),
        );
        let subject = format!("/CN=Stamps of {name}");
        let mut arguments = vec!["req", "-new", "-nodes", "-config", "ca.cnf", "-subj", &subject];
        arguments.extend_from_slice(&["-keyout", &key, "-out", &request]);
        arguments.extend_from_slice(keys.arguments());
        openssl(&self.folder, &arguments);
        let (issuer, issuer_key) = (format!("{by}.pem"), format!("{by}.key"));
        let mut arguments = vec!["ca", "-batch", "-config", "ca.cnf", "-notext", "-in", &request];
        arguments.extend_from_slice(&["-out", &out, "-cert", &issuer, "-keyfile", &issuer_key]);
        arguments.extend_from_slice(&["-extensions", section, "-startdate", valid.0, "-enddate", valid.1]);
        openssl(&self.folder, &arguments);
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }

    /// The root in PEM form.
    pub fn root(&self) -> String {
        fs::read_to_string(self.folder.join("root.pem")).unwrap()
    }

    /// What the authority answers to a request.
    pub fn answer(&self, request: &[u8]) -> Vec<u8> {
        fs::write(self.folder.join("q.tsq"), request).unwrap();
        let arguments = [
            "ts",
            "-reply",
            "-config",
            "ts.cnf",
            "-queryfile",
            "q.tsq",
            "-out",
            "r.tsr",
        ];
        openssl(&self.folder, &arguments);
        fs::read(self.folder.join("r.tsr")).unwrap()
    }
}
