//! Tests of the URLs and settings of a client.

use std::error::Error as _;

use rstest::rstest;

use super::*;

#[rstest]
#[case("http://localhost:8080/api/providers/rest", "http://localhost:8080/")]
#[case("http://localhost:8080/api/providers/rest/", "http://localhost:8080/")]
#[case("http://localhost:8080", "http://localhost:8080/")]
#[case("http://[::1]:8080/sub/api/providers/rest", "http://[::1]:8080/sub/")]
fn the_providers_url_and_the_base_url_mean_the_same(#[case] text: &str, #[case] base: &str) {
    assert_eq!(base_of(&text.into()).unwrap().as_str(), base);
}

#[rstest]
#[case("localhost:8080")]
#[case("ftp://localhost")]
#[case("http://")]
#[case("http://localhost/?a=b")]
#[case("")]
#[case("http://user:hunter2@localhost")]
fn what_is_no_http_url_is_refused_with_an_example(#[case] text: &str) {
    let message = Traefik::try_new(text).err().unwrap().to_string();
    assert!(message.contains("such as http://localhost:8080/api/providers/rest"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn the_problem_of_a_text_that_is_no_url_names_its_cause_and_the_message_leaves_it_to_the_source() {
    let error = base_of(&"".into()).unwrap_err();
    let source = error.source().unwrap().to_string();
    assert_eq!(error.problem(), format!("it is not a URL ({source})"));
    assert!(!error.to_string().contains(&source), "{error}");
}

#[test]
fn nothing_secret_is_printed() {
    let builder = Traefik::builder("http://user:hunter2@localhost").basic("user", "hunter2");
    assert!(!format!("{builder:?}").contains("hunter2"));
    let traefik = Traefik::builder("http://localhost/secret/").basic("user", "hunter2").build().unwrap();
    let printed = format!("{traefik:?}");
    assert!(
        printed.contains("localhost:80") && !printed.contains("hunter2") && !printed.contains("secret"),
        "{printed}"
    );
}

#[cfg(feature = "rustls")]
#[test]
fn without_a_crypto_provider_https_is_an_error_that_says_what_to_do_and_http_works() {
    // The tests of this crate install none in this process.
    let error = Traefik::try_new("https://localhost").err().unwrap();
    assert!(matches!(error, BuildError::NoCryptoProvider), "{error}");
    assert!(Traefik::try_new("http://localhost").is_ok());
}

#[cfg(not(feature = "rustls"))]
#[test]
fn https_without_the_feature_is_refused() {
    let message = Traefik::try_new("https://localhost").err().unwrap().to_string();
    assert!(message.contains("feature 'rustls'"), "{message}");
}
