//! Clients that keep their connection, and ask again as soon as they are answered.
//!
//! By hand on the system's readiness queue, one read and one write an answer, so that the server is what limits it.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::contest::Question;

/// Connections with one request each on its way.
pub(crate) struct KeepAlive<'a> {
    question: &'a Question,
    connections: Vec<Connection>,
    poll: Poll,
}

struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
    received: usize,
}

impl<'a> KeepAlive<'a> {
    /// Opens the connections, and asks.
    pub(crate) fn open(address: SocketAddr, question: &'a Question, connections: usize) -> Self {
        let poll = Poll::new().expect("a readiness queue");
        let connections = (0..connections).map(|number| {
            let stream = std::net::TcpStream::connect(address).expect("the server takes connections");
            stream.set_nodelay(true).expect("a socket");
            stream.set_nonblocking(true).expect("a socket");
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE).expect("a socket");
            let mut connection =
                Connection { stream, answer: vec![0; question.answer_length + 1], received: 0 };
            connection.ask(question);
            connection
        });
        Self { question, connections: connections.collect(), poll }
    }

    /// Goes on for this time, and returns how many answers came.
    pub(crate) fn run(&mut self, time: Duration) -> u64 {
        let mut events = Events::with_capacity(self.connections.len());
        let (end, mut answers) = (Instant::now() + time, 0);
        while Instant::now() < end {
            self.poll.poll(&mut events, Some(Duration::from_secs(1))).expect("a readiness queue");
            for event in &events {
                answers += u64::from(self.connections[event.token().0].hear(self.question));
            }
        }
        answers
    }
}

impl Connection {
    fn ask(&mut self, question: &Question) {
        let sent = self.stream.write(&question.request).expect("the server reads");
        assert_eq!(sent, question.request.len(), "a request fits into a socket's buffer");
        self.received = 0;
    }

    /// Reads what has come. Where that is the whole answer, asks again and returns true.
    fn hear(&mut self, question: &Question) -> bool {
        let read = match self.stream.read(&mut self.answer[self.received..]) {
            Ok(0) => panic!("the server has closed the connection"),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
            Err(error) => panic!("the server has broken the connection: {error}"),
        };
        self.received += read;
        if self.received < question.answer_length {
            return false;
        }
        question.check(&self.answer[..self.received]);
        self.ask(question);
        true
    }
}
