//! The status page and its content security policy.

use axum::{
    body::Bytes,
    http::{
        HeaderValue,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY},
    },
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

/// The status page, with a policy that limits what it may do in a browser.
pub(super) struct Page {
    policy: HeaderValue,
}

/// The page in one piece: it needs nothing else.
const HTML: &str = concat!(
    include_str!("page/head.html"),
    include_str!("page/page.css"),
    include_str!("page/body.html"),
    include_str!("page/basics.js"),
    include_str!("page/view.js"),
    include_str!("page/page.js"),
    include_str!("page/connections.js"),
    include_str!("page/end.html"),
);

impl Page {
    pub(super) fn new() -> Self {
        // Only the page's own script and style are allowed, and connections only to where the page came from.
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            hash("script"),
            hash("style"),
        );
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Self { policy }
    }

    pub(super) fn response(&self) -> Response {
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (CONTENT_SECURITY_POLICY, self.policy.clone()),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        (headers, Bytes::from_static(HTML.as_bytes())).into_response()
    }
}

/// Hashes the only element of this kind, as a source for the policy.
fn hash(element: &str) -> String {
    let text = HTML.split_once(&format!("<{element}>")).and_then(|(_, rest)| rest.split_once(&format!("</{element}>")));
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.map_or("", |(text, _)| text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_needs_nothing_from_anywhere_else() {
        for forbidden in ["http://", "https://", "src=", "@import", "url(", " style=", "onclick", "innerHTML"] {
            let uses: Vec<_> = HTML.lines().filter(|line| line.contains(forbidden)).collect();
            assert!(uses.is_empty(), "{forbidden}: {uses:?}");
        }
    }

    #[test]
    fn the_icon_of_the_page_is_the_logo_of_the_project() {
        let logo = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/logo.svg")).unwrap();
        let icon = format!("<link rel=\"icon\" href=\"data:image/svg+xml;base64,{}\">", BASE64_STANDARD.encode(logo));
        assert!(HTML.contains(&icon), "page/head.html needs the line {icon}");
        assert!(Page::new().policy.to_str().unwrap().contains("img-src data:"));
    }

    #[test]
    fn the_page_has_one_script_and_one_style_and_the_policy_allows_only_these() {
        for element in ["script", "style"] {
            assert_eq!(HTML.matches(&format!("<{element}")).count(), 1, "{element}");
        }
        let policy = Page::new().policy.to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_ne!(hash("script"), hash("style"));
    }
}
