//! Every property that a type serialises stands in its contract, and nothing that the contract
//! requires can be missing from what is serialised.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;
use tollgate_shared::alert::Alert;
use tollgate_shared::api::{
    AccountView, AlertList, AuditList, BudgetList, BudgetView, DailyReport, ErrorBody, ExplainView,
    Health, MetricsView, ProbeView, ProviderList, ReceiptList, RouteAnswer, RouterStats, RunList,
    SelectAnswer, StreamStats, UnknownList,
};
use tollgate_shared::provider::ProviderView;
use tollgate_shared::receipt::Receipt;

use crate::book::Book;

#[test]
fn every_property_that_is_serialised_stands_in_its_contract() {
    let book = Book::open();
    let mut faults = Vec::new();
    for (name, generated) in [
        ("provider", of::<ProviderView>()),
        ("providers", of::<ProviderList>()),
        ("select_answer", of::<SelectAnswer>()),
        ("router_stats", of::<RouterStats>()),
        ("route_answer", of::<RouteAnswer>()),
        ("budget", of::<BudgetView>()),
        ("budgets", of::<BudgetList>()),
        ("account", of::<AccountView>()),
        ("unknowns", of::<UnknownList>()),
        ("runs", of::<RunList>()),
        ("alert", of::<Alert>()),
        ("alerts", of::<AlertList>()),
        ("audit", of::<AuditList>()),
        ("daily_report", of::<DailyReport>()),
        ("explain", of::<ExplainView>()),
        ("probe", of::<ProbeView>()),
        ("metrics", of::<MetricsView>()),
        ("receipts", of::<ReceiptList>()),
        ("routing_receipt", of::<Receipt>()),
        ("error", of::<ErrorBody>()),
        ("health", of::<Health>()),
        ("stream_stats", of::<StreamStats>()),
    ] {
        let contract = Node { root: book.schema(name), schema: book.schema(name) };
        let typed = Node { root: &generated, schema: &generated };
        compare(&book, contract, typed, name, &mut faults);
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<T>().into()
}

/// A schema within the document that its references are relative to.
#[derive(Clone, Copy)]
struct Node<'a> {
    root: &'a Value,
    schema: &'a Value,
}

impl<'a> Node<'a> {
    fn to(self, schema: &'a Value) -> Self {
        Self { schema, ..self }
    }

    /// Follows references, and takes what may be null as what it else is.
    fn resolved(self, book: &'a Book) -> Self {
        if let Some(target) = self.schema["$ref"].as_str() {
            let (file, pointer) = target.split_once('#').unwrap_or((target, ""));
            let root = match file.strip_suffix(".schema.json") {
                Some(name) => book.schema(name),
                None => self.root,
            };
            let schema = root.pointer(pointer).unwrap_or_else(|| panic!("{target} leads nowhere"));
            return Self { root, schema }.resolved(book);
        }
        let choices = self.schema["anyOf"].as_array().into_iter().flatten();
        match choices.filter(|choice| choice["type"] != "null").collect::<Vec<_>>()[..] {
            [only] => self.to(only).resolved(book),
            _ => self,
        }
    }
}

fn compare(book: &Book, ours: Node<'_>, typed: Node<'_>, place: &str, faults: &mut Vec<String>) {
    let (ours, typed) = (ours.resolved(book), typed.resolved(book));
    let always = |field: &Value| {
        typed.schema["required"].as_array().is_some_and(|required| required.contains(field))
    };
    for field in ours.schema["required"].as_array().into_iter().flatten() {
        if !always(field) {
            faults.push(format!("{place}: {field} is required, but may be left out"));
        }
    }
    for (field, inner) in typed.schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{place}.{field}");
        match ours.schema["properties"].get(field) {
            Some(known) => compare(book, ours.to(known), typed.to(inner), &place, faults),
            None => faults.push(format!("{place} is serialised and not in the contract")),
        }
    }
    for key in ["items", "additionalProperties"] {
        if let (Some(known), Some(inner)) = (ours.schema.get(key), typed.schema.get(key)) {
            compare(book, ours.to(known), typed.to(inner), &format!("{place}[]"), faults);
        }
    }
}
