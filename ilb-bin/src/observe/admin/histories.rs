//! The histories that are asked for, each made once for all who ask.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::time::Instant;

use super::document::Document;
use crate::observe::insight::{Insight, history::Span};

/// Question for a history, as the query of `/history`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    /// Name of the pool whose backends are asked for, too.
    pool: Option<String>,
    span: Span,
}

/// The documents of all questions that were asked.
pub(super) struct Histories {
    insight: Insight,
    documents: Mutex<BTreeMap<Question, Arc<Document>>>,
}

/// Number of documents beyond which those of earlier questions are forgotten.
const MAX_DOCUMENTS: usize = 64;

impl Question {
    /// Reads the query of a request, such as `pool=default&span=day`. Names of pools have no characters that need escapes.
    pub(super) fn from_query(query: Option<&str>) -> Result<Self, String> {
        let mut question = Self { pool: None, span: Span::TenMinutes };
        for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("pool", name)) => question.pool = Some(name.to_owned()),
                Some(("span", "ten-minutes")) => question.span = Span::TenMinutes,
                Some(("span", "day")) => question.span = Span::Day,
                _ => return Err(format!("{part:?} is neither pool=NAME nor span=ten-minutes nor span=day")),
            }
        }
        Ok(question)
    }
}

impl Histories {
    pub(super) fn new(insight: Insight) -> Self {
        Self { insight, documents: Mutex::default() }
    }

    /// Returns the document for a question; `None` if there is no such pool.
    pub(super) fn get(&self, question: Question) -> Option<Arc<Document>> {
        let is_known = |name: &String| self.insight.read(|facts| facts.pools.contains_key(name));
        if !question.pool.as_ref().is_none_or(is_known) {
            return None;
        }
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        if documents.len() >= MAX_DOCUMENTS && !documents.contains_key(&question) {
            documents.clear();
        }
        let document = documents.entry(question.clone()).or_insert_with(|| Arc::new(self.document(question)));
        Some(Arc::clone(document))
    }

    fn document(&self, Question { pool, span }: Question) -> Document {
        let insight = self.insight.clone();
        let make = move || {
            let history = insight.snapshot().history(pool.as_deref(), span, Instant::now());
            serde_json::to_string(&history.ok_or("there is no such pool")?).map_err(|error| error.to_string())
        };
        Document::new(self.insight.subscribe(), make)
    }
}

impl fmt::Debug for Histories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histories").finish_non_exhaustive()
    }
}
