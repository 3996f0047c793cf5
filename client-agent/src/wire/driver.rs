//! The task that drives a client: it gives the agent its inputs, and carries out its outputs, until there is nothing to do.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::client::{Client, Next};
use super::connection::Session;
use super::store::StoreError;
use super::tls_memory::TicketSlot;
use crate::agent::{Exchange, Input, Output};

/// The state of a client's task.
pub(super) struct Driver {
    client: Arc<Client>,
    session: Arc<tokio::sync::Mutex<Session>>,
    tickets: Arc<TicketSlot>,
    under_way: Option<UnderWay>,
    turn: Option<OwnedSemaphorePermit>,
}

/// An exchange under way. When it is dropped, the session is free again.
type UnderWay = std::pin::Pin<Box<dyn Future<Output = Input> + Send>>;

impl Driver {
    pub(super) fn new(client: Arc<Client>) -> Self {
        let (shared, tickets) = (&client.shared, client.tickets());
        let (handshakes, endpoint) = (Arc::clone(&client.handshakes), Arc::clone(&client.endpoint));
        let session = Session::new(Arc::clone(&shared.clock), handshakes, endpoint)
            .sharing(Arc::clone(&shared.tls), Arc::clone(&tickets));
        Self {
            session: Arc::new(tokio::sync::Mutex::new(session)),
            tickets,
            under_way: None,
            turn: None,
            client,
        }
    }

    /// Drives the client until it sleeps, or has left.
    ///
    /// # Errors
    ///
    /// When the client's cache cannot be written: a client that cannot keep what it has learnt must stop.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        let ended = self.drive().await;
        if ended.is_err() {
            self.client.fail();
        }
        ended
    }

    async fn drive(&mut self) -> Result<(), StoreError> {
        loop {
            match self.client.next() {
                Next::Told(input) => self.hear(*input, true).await?,
                Next::Wake(turn) => {
                    self.turn.get_or_insert(turn);
                    self.hear(Input::Wake, false).await?;
                }
                Next::Leave => self.hear(Input::Stop, false).await?,
                Next::Gone => return Ok(()),
                Next::Nothing => {
                    if self.sleeps().await {
                        return Ok(());
                    }
                    if let Some(answer) = self.wait().await {
                        self.hear(answer, false).await?;
                    }
                }
            }
        }
    }

    /// Lets the client sleep if it rests, holds no request and has no open connection.
    async fn sleeps(&mut self) -> bool {
        self.under_way.is_none() && !self.session.lock().await.is_open() && self.client.sleep(&self.tickets)
    }

    /// Waits for the answer to the exchange under way; none if there is something else to do.
    async fn wait(&mut self) -> Option<Input> {
        let answered = async {
            match &mut self.under_way {
                Some(exchange) => exchange.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            answer = answered => {
                self.under_way = None;
                Some(answer)
            }
            () = self.client.changed() => None,
        }
    }

    /// Gives the agent an input, and carries out its outputs.
    async fn hear(&mut self, input: Input, is_told: bool) -> Result<(), StoreError> {
        if matches!(input, Input::UpdateNow) && self.turn.is_none() {
            self.turn = match self.client.take_turn() {
                Some(turn) => Some(turn),
                None => Arc::clone(&self.client.shared.turns).acquire_owned().await.ok(),
            };
        }
        for output in self.client.handle(input) {
            self.carry_out(output).await?;
        }
        let view = self.client.view_at_rest();
        let is_resting = view.is_some();
        if let Some(view) = view {
            self.turn = None;
            if let Some(watcher) = &self.client.sinks.watcher {
                watcher(&view, self.client.now());
            }
        }
        self.client.acted(is_told);
        if is_resting || is_told {
            self.client.shared.progress.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    async fn carry_out(&mut self, output: Output) -> Result<(), StoreError> {
        match output {
            Output::Send(exchange) => self.send(*exchange).await,
            Output::EndSession => {
                self.under_way = None;
                self.session.lock().await.close();
            }
            Output::Persist(cache) => {
                if let Some(disk) = &self.client.disk {
                    disk.lock().save(&cache)?;
                }
            }
            Output::Log(line) => {
                let name = &self.client.profile.computer_name;
                tracing::debug!(client = name, "{line}");
                (self.client.sinks.log)(name, &line);
            }
            Output::Odd(what) => tracing::debug!(what, "an input that made no sense"),
        }
        Ok(())
    }

    /// Begins an exchange; an exchange that is still under way is abandoned with its connection.
    async fn send(&mut self, exchange: Exchange) {
        if self.under_way.take().is_some() {
            self.session.lock().await.close();
        }
        let session = Arc::clone(&self.session);
        self.under_way = Some(Box::pin(async move {
            let outcome = session.lock().await.exchange(&exchange).await;
            Input::Answered { exchange: exchange.id, outcome }
        }));
    }
}
