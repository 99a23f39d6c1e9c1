# Asks the server for `hello` over TLS and wants an answer within five seconds. That starts no shell of MongoDB and needs no
# password, and a server that is stopped or stuck does not pass: the kernel accepts its connections, but nobody answers.
use strict;
use warnings;
use IPC::Open2;

use constant { OP_MSG => 2013, REQUEST => 1, DOUBLE => 1, TEXT => 2, INTEGER => 16 };

my ($ca_file) = @ARGV;
my @tls = (
    qw(openssl s_client -quiet -connect localhost:27017 -verify_return_error -verify_hostname localhost),
    '-CAfile', $ca_file,
);
# openssl describes every certificate that it sees.
open STDERR, '>', '/dev/null';
my $server = open2(my $answers, my $questions, @tls);
local $SIG{ALRM} = sub { leave(1) };
alarm 5;
binmode $_ for $answers, $questions;

my $fields = pack('C Z* l<', INTEGER, 'hello', 1) . pack('C Z* l</Z*', TEXT, '$db', 'admin');
my $document = pack('l<', length($fields) + 5) . $fields . "\0";
my $message = pack('l< C', 0, 0) . $document;
print {$questions} pack('l<4', length($message) + 16, REQUEST, 0, OP_MSG) . $message;
$questions->flush;

my $succeeded = pack('C Z* d<', DOUBLE, 'ok', 1);
leave(1) if (read($answers, my $header, 16) // 0) != 16;
my $length = unpack('l<', $header) - 16;
leave(1) if (read($answers, my $answer, $length) // 0) != $length;
leave(index($answer, $succeeded) >= 0 ? 0 : 1);

sub leave {
    my ($status) = @_;
    kill 'TERM', $server;
    waitpid $server, 0;
    exit $status;
}
